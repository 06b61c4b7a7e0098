from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from llm_checkpoints import llm_checkpoint
from typer.testing import CliRunner

from rerank_plugins import LayerOptions, Reranker, __version__
from rerank_plugins.catalog import known_models, specs_of_kind
from rerank_plugins.cli import app, main
from rerank_plugins.cli.models import reference_of
from rerank_plugins.cli.rank import read_lines
from rerank_plugins.errors import InvalidInputError, RerankPluginsError

TEXTS = ["The giant panda eats bamboo and sleeps.", "Paris is the capital of France.", "Net revenue grew."]
HEAVY = ("torch", "transformers", "llama_index", "langchain_core", "numpy", "huggingface_hub", "matplotlib")


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["rerank-plugins", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


@pytest.mark.parametrize("arguments", [["--help"], ["models", "--json"], ["rank", "--help"]])
def test_help_and_models_are_light(arguments: list[str]) -> None:
    code = (
        "import sys; sys.argv[0] = 'rerank-plugins'\n"
        "from rerank_plugins.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8")
    assert result.stdout.strip()
    assert result.stderr.split() == []


def test_version_also_as_a_module() -> None:
    command = [sys.executable, "-m", "rerank_plugins", "--version"]
    assert (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"rerank-plugins {__version__}\n"
    )


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in ("models", "rank", "doctor", "demo"):
        assert command in result.stdout


def test_models_as_json_is_the_whole_catalog() -> None:
    entries = json.loads(CliRunner().invoke(app, ["models", "--json"]).stdout)
    assert {(entry["kind"], entry["id"]) for entry in entries} == set(known_models())
    by_id = {(entry["kind"], entry["id"]): entry for entry in entries}
    assert by_id["reranker", "BAAI/bge-reranker-v2-m3"]["score"] == "logit"
    assert by_id["embedder", "BAAI/bge-m3"]["dimensions"] == 1024
    assert by_id["reranker", "BAAI/bge-reranker-v2-gemma"]["speed"] == "slow"
    assert by_id["reranker", "BAAI/bge-reranker-v2-gemma"]["parity"] == "FlagEmbedding 1.3.5"


def test_models_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    shown = CliRunner().invoke(app, ["models"]).stdout
    assert all(spec.id in shown for spec in known_models().values())
    only = CliRunner().invoke(app, ["models", "--kind", "embedder"]).stdout
    assert "BAAI/bge-m3" in only
    assert "BAAI/bge-reranker-v2-m3" not in only


@pytest.mark.parametrize("columns", ["80", "159", "160", None])
def test_models_tables_cut_nothing_off(columns: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    for kind in ("reranker", "embedder"):
        shown = CliRunner().invoke(app, ["models", "--kind", kind]).stdout
        assert "…" not in shown
        lines = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
        for spec in specs_of_kind(kind):
            assert reference_of(spec).split()[0] in lines[spec.id]
        assert ("licence" in shown) == (columns not in ("80", "159"))


def test_rank_keeps_the_index_of_blank_lines(bert_reranker_folder: Path, tmp_path: Path) -> None:
    lines = ["The giant panda eats bamboo.", "", "Paris [bold]is the capital."]
    (tmp_path / "documents.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = ["--query", "panda", "--model", str(bert_reranker_folder)]
    shown = CliRunner().invoke(app, ["rank", str(tmp_path / "documents.txt"), *options])
    assert shown.exit_code == 0, shown.output
    assert "Paris [bold]is the capital." in shown.stdout
    piped = CliRunner().invoke(app, ["rank", "-", *options, "--json"], input="\n".join(lines))
    ranked = json.loads(piped.stdout)
    assert {one["index"]: one["document"] for one in ranked} == dict(enumerate(lines))
    assert [one["rank"] for one in ranked] == [1, 2, 3]
    assert ranked[-1]["index"] == 1
    assert ranked[-1]["probability"] == 0.0


@pytest.mark.parametrize(
    ("model", "used"),
    [("bm25", "bm25"), ("cascade:bm25@9,bm25@2", "cascade:bm25@9,bm25@2"), ("mini", "mini, float32 on cpu")],
)
def test_rank_says_what_ran_and_where_as_far_as_that_is_known(model: str, used: str) -> None:
    options = ["rank", "--query", "capital of France", "--model", model, "-"]
    result = CliRunner().invoke(app, options, input="Paris\nBerlin\n", catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.output.rstrip().endswith(f"2 of 2 documents; {used}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "cosine:mini", "-o", "out"],
        ["export", "cohere:embed-v4.0", "--kind", "embedder", "-o", "out"],
        ["train", "reranker", "rows.jsonl", "--model", "cosine:mini", "-o", "out"],
        ["train", "embedder", "rows.jsonl", "--model", "cohere:embed-v4.0", "-o", "out"],
        ["train", "colbert", "rows.jsonl", "--model", "cohere:embed-v4.0", "-o", "out"],
        ["merge", "cosine:mini", "--base", "mini", "--dev-data", "rows.jsonl", "-o", "out"],
    ],
    ids=lambda arguments: "-".join(arguments[:2]),
)
def test_a_backend_of_texts_where_a_checkpoint_is_needed(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if arguments[0] != "export":
        pytest.importorskip("accelerate")
        pytest.importorskip("ir_measures")
    monkeypatch.chdir(tmp_path)
    row = {"query": "capital of France", "pos": ["Paris is the capital of France."], "neg": ["Berlin is in Germany."]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    assert run_main(monkeypatch, *arguments) == 2
    assert "is a backend of texts and has no checkpoint here" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_rank_top_n_and_threshold(bert_reranker_folder: Path) -> None:
    options = ["rank", "-", "-q", "panda", "-m", str(bert_reranker_folder), "--json"]
    assert len(json.loads(CliRunner().invoke(app, [*options, "--top-n", "1"], input="a\nb\nc").stdout)) == 1
    nothing = CliRunner().invoke(app, [*options, "--threshold", "1.0"], input="a\n\n")
    assert json.loads(nothing.stdout) == []


def ranked_by_cli(*options: str) -> list[dict[str, object]]:
    shown = CliRunner().invoke(app, ["rank", "-", "-q", "panda", "--json", *options], input="\n".join(TEXTS))
    assert shown.exit_code == 0, shown.output
    ranked: list[dict[str, object]] = json.loads(shown.stdout)
    return ranked


def test_rank_with_layers_and_a_prompt() -> None:
    model = str(llm_checkpoint("tiny-gemma2-lightweight"))
    options = LayerOptions(cutoff_layers=(5,), compress_ratio=4, compress_layers=(2, 3))
    with Reranker(model, device="cpu", prompt="Is it about animals?") as reranker:
        expected = {one.document: one.score for one in reranker.rank("panda", TEXTS, layers=options)}
    layers = ["--cutoff-layers", "5", "--compress-ratio", "4", "--compress-layers", "2, 3"]
    found = ranked_by_cli("-m", model, "--device", "cpu", *layers, "--prompt", "Is it about animals?")
    assert {one["document"]: one["score"] for one in found} == pytest.approx(expected, abs=1e-5)
    plain = ranked_by_cli("-m", model, "--device", "cpu")
    assert {one["document"]: one["score"] for one in plain} != pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cutoff-layers", "five"], "--cutoff-layers must be layer numbers"),
        (["--compress-layers", "2,,3"], "--compress-layers must be layer numbers"),
        (["--cutoff-layers", "40"], "must be from 2 to 6"),
        (["--cutoff-layers", "4,5"], "give one layer"),
        (["--compress-ratio", "3"], "compress_ratio must be one of"),
    ],
)
def test_impossible_layers_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    options: list[str],
    message: str,
) -> None:
    (tmp_path / "texts.txt").write_text("a", encoding="utf-8")
    model = str(llm_checkpoint("tiny-gemma2-lightweight"))
    arguments = ["rank", str(tmp_path / "texts.txt"), "-q", "x", "-m", model, "--device", "cpu", *options]
    assert run_main(monkeypatch, *arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        ("\ufeffa\u2028b\n中\n".encode(), ["a\u2028b", "中"]),
        (b"\n", [""]),
    ],
)
def test_lines_of_a_file(tmp_path: Path, text: bytes, expected: list[str]) -> None:
    (tmp_path / "documents.txt").write_bytes(text)
    assert read_lines(tmp_path / "documents.txt") == expected


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "documents.txt").write_bytes(b"ok \xff")
    with pytest.raises(InvalidInputError, match=r"not UTF-8 \(byte 3\)"):
        read_lines(tmp_path / "documents.txt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rank", "nowhere.txt", "-q", "x"], "cannot be read"),
        (["models", "--kind", "judge"], "--kind must be"),
    ],
)
def test_our_errors_are_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run_main(monkeypatch, *arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert message in shown.err
    assert shown.err.count("\n") == 1


def test_brackets_of_an_error_survive(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(**_: object) -> None:
        message = "pip install rerank-plugins[demo]"
        raise RerankPluginsError(message)

    monkeypatch.setattr("rerank_plugins.cli.application.app", fail)
    assert run_main(monkeypatch) == 2
    assert capsys.readouterr().err == "error: pip install rerank-plugins[demo]\n"


@pytest.mark.slow
@pytest.mark.parametrize("as_json", [True, False])
def test_an_output_that_is_not_utf8(bert_reranker_folder: Path, tmp_path: Path, as_json: bool) -> None:
    (tmp_path / "documents.txt").write_text("巴黎\n😀\n", encoding="utf-8")
    arguments = ["rank", str(tmp_path / "documents.txt"), "-q", "x", "-m", str(bert_reranker_folder)]
    done = subprocess.run(
        [sys.executable, "-m", "rerank_plugins", *arguments, *(["--json"] if as_json else [])],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    if as_json:
        assert {one["document"] for one in json.loads(done.stdout)} == {"巴黎", "😀"}
    else:
        assert b"2 of 2 documents" in done.stdout
