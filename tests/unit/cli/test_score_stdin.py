from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rerank_plugins import Reranker
from rerank_plugins.calibration import fit_calibration
from rerank_plugins.cli import app, main
from rerank_plugins.errors import InvalidInputError

PAIRS = [("panda", "a panda eats"), ("panda", None), ("capital", "Paris is the capital")]
LINES = "".join(json.dumps({"query": query, "document": document}) + "\n\n" for query, document in PAIRS)


def rows(text: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_standard_input_to_standard_output_with_a_calibration(bert_reranker_folder: Path, tmp_path: Path) -> None:
    made = fit_calibration([-1.0, 0.0, 1.0, 2.0], [False, True, False, True])
    path = made.save(tmp_path / "c.json")
    with Reranker(bert_reranker_folder) as reranker:
        expected = reranker.score(PAIRS)
    options = ["score", "-", "--model", str(bert_reranker_folder)]
    result = CliRunner().invoke(app, [*options, "--calibration", str(path)], input=LINES)
    assert [row["score"] for row in rows(result.stdout)] == pytest.approx(expected, abs=1e-5)
    assert [row["probability"] for row in rows(result.stdout)] == [
        pytest.approx(made.probability(score), abs=1e-6) for score in expected
    ]


@pytest.mark.parametrize("broken", ["no json", "[1]", '{"query": 1, "document": "x"}', '{"query": "x"}'])
def test_what_stands_before_a_broken_line_is_scored(broken: str, bert_reranker_folder: Path) -> None:
    options = ["score", "-", "--model", str(bert_reranker_folder)]
    result = CliRunner().invoke(app, options, input=f"{LINES}{broken}\n")
    assert len(rows(result.stdout)) == len(PAIRS)
    assert isinstance(result.exception, InvalidInputError)
    assert "stdin, line 7" in str(result.exception)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """A named pipe that is fed as a shell feeds ``<(command)``: once, to whoever opens it first."""
    path = tmp_path / "pairs"
    os.mkfifo(path)
    feeding = threading.Thread(target=path.write_text, args=[LINES], daemon=True)
    feeding.start()
    yield path
    feeding.join(timeout=10)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("has_output", [False, True])
def test_a_pipe_is_read_once(pipe: Path, bert_reranker_folder: Path, tmp_path: Path, *, has_output: bool) -> None:
    output = tmp_path / "scores.jsonl"
    options = ["score", str(pipe), "--model", str(bert_reranker_folder)]
    result = CliRunner().invoke(app, [*options, "--output", str(output)] if has_output else options)
    assert result.exit_code == 0, result.exception
    with Reranker(bert_reranker_folder) as reranker:
        expected = reranker.score(PAIRS)
    found = output.read_text() if has_output else result.stdout
    assert [row["score"] for row in rows(found)] == pytest.approx(expected, abs=1e-5)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_does_not_go_on_after_a_break(pipe: Path, bert_reranker_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores.jsonl"
    command = ["score", str(pipe), "--model", str(bert_reranker_folder), "--output", str(output)]
    assert CliRunner().invoke(app, command).exit_code == 0
    result = CliRunner().invoke(app, command)
    assert "cannot go on after a break; pass --restart" in str(result.exception)


def test_a_line_with_nothing_but_a_byte_order_mark_is_blank(bert_reranker_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b"\xef\xbb\xbf\r\n" + LINES.encode())
    result = CliRunner().invoke(app, ["score", str(path), "--model", str(bert_reranker_folder)])
    assert result.exit_code == 0, result.exception
    assert len(rows(result.stdout)) == len(PAIRS)


@pytest.mark.parametrize("command", [["score", "-"], ["rank", "-", "--query", "panda"]])
def test_closed_standard_input_is_told(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)  # what Python has for a process that was started with <&-
    monkeypatch.setattr("sys.argv", ["rerank-plugins", *command, "--model", "mini"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("command", "status"), [(["models"], 0), (["models", "--json"], 0), (["--version"], 0), (["score", "FILE"], 2)]
)
def test_closed_standard_output_is_no_traceback(
    command: list[str], status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(LINES)
    monkeypatch.setattr("sys.argv", ["rerank-plugins", *(str(path) if one == "FILE" else one for one in command)])
    monkeypatch.setattr("sys.stdout", None)  # started with >&-
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status
    if status:
        assert "standard output is closed; pass --output FILE" in capsys.readouterr().err
