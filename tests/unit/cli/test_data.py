"""``rerank-plugins data``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rerank_plugins.cli import app
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.data.detection import FORMAT_NAMES

NEGATIVES = [f"negative {number}" for number in range(7)]
GOOD = {"query": "what is it", "pos": ["this is it"], "neg": NEGATIVES}


def rows_file(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["data", *map(str, arguments)], catch_exceptions=False)
    return result.exit_code, result.output


def test_good_data(tmp_path: Path) -> None:
    status, text = run("check", rows_file(tmp_path / "rows.jsonl", GOOD))
    assert status == 0
    assert "1 queries, 1 positives (1.0 each), 7 negatives (7.0 each, at least 7), 0 with scores" in text
    assert "queries are Latin 100%" in text
    assert "nothing found" in text


def test_errors_and_warnings_with_examples(tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.jsonl", {**GOOD, "pos": ["[bold]x", *NEGATIVES[:1]]}, {**GOOD, "neg": ["few"]})
    status, text = run("check", path)
    assert status == 2
    assert "error: 1 rows with the same text as positive and negative [positive_is_negative]" in text
    assert f"    {path}:1: query 'what is it', text 'negative 0'" in text
    assert "warning: 1 rows with fewer negatives" in text
    allowed, text = run("check", path, "--allow", "positive_is_negative", "--group-size", 2)
    assert allowed == 0
    assert "warning: 1 rows with the same text" in text
    assert "few_negatives" not in text


def test_json(tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.jsonl", GOOD, {**GOOD, "query": "另一个", "pos": [" "]})
    status, text = run("check", path, "--json")
    report = json.loads(text)
    assert status == 2
    assert report["ok"] is False
    assert [one["kind"] for one in report["findings"]] == ["blank_positive"]
    assert report["query_scripts"] == {"Latin": 0.5, "Han": 0.5}


def test_the_dev_set_and_lengths_of_mini(tmp_path: Path) -> None:
    pytest.importorskip("rerank_plugins_mini")
    path = rows_file(tmp_path / "rows.jsonl", GOOD)
    dev = rows_file(tmp_path / "dev.jsonl", {"query": "What is it", "qrels": {"x": 1}})
    status, text = run("check", path, "--dev", dev, "--model", "mini", "--max-length", 9)
    assert status == 2
    assert "dev set of 1" in text
    assert "[dev_query]" in text
    assert "at pair 9 tokens (1 rows measured): 0.0% of the positives" in text


def test_embedders_need_no_negatives(tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.jsonl", {"query": "q", "pos": ["p"]})
    assert run("check", path)[0] == 2
    assert run("check", path, "--for", "embedder")[0] == 0
    with pytest.raises(InvalidInputError, match="'reranker'"):
        run("check", path, "--for", "dancer")


def test_converting_tells_what_is_lost(tmp_path: Path) -> None:
    rows = [{"query": "q", "content": text, "label": label, "url": "u"} for text, label in (("p", 2), ("n", 0))]
    path = rows_file(tmp_path / "rows.jsonl", *rows)
    output = tmp_path / "out.jsonl"
    status, text = run("convert", path, "-o", output, "--to", "bcembedding")
    assert status == 0
    assert "rag-retrieval-pointwise" in text
    assert f"1 queries written as 1 rows of bcembedding: {output}" in text
    assert "not read: key 'url', which is not read (2)" in text
    assert "bcembedding does not hold: pos_scores (1)" in text
    assert json.loads(output.read_text()) == {"query": "q", "positive": ["p"], "negative": ["n"]}
    with pytest.raises(InvalidInputError, match="--overwrite"):
        run("convert", path, "-o", output)
    assert run("convert", path, "-o", output, "--overwrite", "--no-keep-labels")[0] == 0
    assert json.loads(output.read_text()) == {"query": "q", "pos": ["p"], "neg": ["n"]}


def test_a_conversion_to_a_folder_and_back(tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.jsonl", GOOD)
    assert run("convert", path, "-o", tmp_path / "set", "--to", "beir", "--to-split", "dev")[0] == 0
    assert run("convert", tmp_path / "set", "-o", tmp_path / "back.jsonl", "--split", "dev")[0] == 0
    back = json.loads((tmp_path / "back.jsonl").read_text())
    assert {key: back[key] for key in GOOD} == GOOD


def test_formats_are_listed() -> None:
    status, text = run("formats")
    assert status == 0
    assert all(name in text for name in FORMAT_NAMES)


def test_the_format_can_be_named(tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.jsonl", {**GOOD, "content": "x"})
    with pytest.raises(InvalidInputError, match="could be a row of records or of rag-retrieval-pointwise"):
        run("check", path)
    assert run("check", path, "--format", "records")[0] == 0


@pytest.mark.parametrize("option", [("--to-split", "dev"), ("--to-tokenizer", "mini")])
def test_options_of_one_format_are_refused_for_others(tmp_path: Path, option: tuple[str, str]) -> None:
    path = rows_file(tmp_path / "rows.jsonl", GOOD)
    with pytest.raises(InvalidInputError, match=f"{option[0]} is of the format .*, and --to is records"):
        run("convert", path, "-o", tmp_path / "out.jsonl", *option)
