"""Whatever is typed or given, every command ends in a message and exit status 1 or 2, and never in a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rerank_plugins.cli import main

COMMANDS = ("models", "rank", "calibrate", "score", "doctor", "demo", "evaluate", "report")


def as_missing(folder: Path) -> Path:
    return folder / "is-not-there.jsonl"


def as_folder(folder: Path) -> Path:
    (folder / "a-folder").mkdir()
    return folder / "a-folder"


def as_empty(folder: Path) -> Path:
    (folder / "empty.jsonl").write_bytes(b"")
    return folder / "empty.jsonl"


def as_latin(folder: Path) -> Path:
    (folder / "latin.jsonl").write_bytes('{"query": "café", "document": "café"}\n'.encode("latin-1"))
    return folder / "latin.jsonl"


def as_too_long(folder: Path) -> Path:
    return folder / ("long" * 2000)


def as_through_a_file(folder: Path) -> Path:
    (folder / "file").write_bytes(b"x")
    return folder / "file" / "below.json"


# What a command is given, with the file that is wrong at FILE; {out} is a place to write.
INPUTS = {
    "rank": ["rank", "FILE", "--query", "q"],
    "rank-calibration": ["rank", "{lines}", "--query", "q", "--calibration", "FILE"],
    "rank-model": ["rank", "{lines}", "--query", "q", "--model", "FILE"],
    "score": ["score", "FILE", "--output", "{out}"],
    "score-calibration": ["score", "{lines}", "--output", "{out}", "--calibration", "FILE"],
    "score-model": ["score", "{lines}", "--output", "{out}", "--model", "FILE"],
    "calibrate": ["calibrate", "FILE", "--output", "{out}"],
    "calibrate-run": ["calibrate", "FILE", "--qrels", "{qrels}", "--output", "{out}"],
    "calibrate-qrels": ["calibrate", "{run}", "--qrels", "FILE", "--output", "{out}"],
    "doctor": ["doctor", "--model", "FILE"],
    "demo": ["demo", "--model", "FILE", "--output", "{out}"],
    "demo-embedder": ["demo", "--embedder", "FILE", "--output", "{out}"],
    "evaluate": ["evaluate", "FILE", "--output", "{out}", "--retriever", "bm25", "--reranker", "none"],
    "evaluate-model": ["evaluate", "{set}", "--output", "{out}", "--reranker", "FILE"],
    "report": ["report", "FILE", "--output", "{out}"],
}
FILES = (as_missing, as_folder, as_empty, as_latin, as_too_long, as_through_a_file)
# An empty list of documents, or of pairs, is no mistake: nothing is ranked, or scored.
FINE = {("rank", as_empty), ("score", as_empty)}


def ended(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> int:
    """Return the exit status of the whole command line; whatever it does not turn into one is raised here."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("sys.argv", ["rerank-plugins", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_misspelt_option(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(monkeypatch, [command, "--top-kk", "3"]) == 2
    assert "--top-kk" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", FILES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("name", INPUTS)
def test_a_wrong_file(
    name: str,
    wrong: Callable[[Path], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = {
        "{lines}": '{"query": "q", "document": "d"}\n',
        "{run}": "q Q0 d 1 0.5 tag\nq Q0 e 2 0.1 tag\n",
        "{qrels}": "q 0 d 1\nq 0 e 0\n",
        "{set}": '{"query": "q", "pos": ["a"], "neg": ["b"]}\n',
    }
    places = {"FILE": str(wrong(tmp_path)), "{out}": str(tmp_path / "out")}
    for key, text in good.items():
        path = tmp_path / f"{key.strip('{}')}.jsonl"
        path.write_text(text, encoding="utf-8")
        places[key] = str(path)
    status = ended(monkeypatch, [places.get(one, one) for one in INPUTS[name]])
    captured = capsys.readouterr()
    if (name, wrong) in FINE:
        assert status == 0, captured.err
    else:
        assert status in (1, 2)
        assert "error: " in captured.err
    assert not list(tmp_path.rglob(".writing-*"))
