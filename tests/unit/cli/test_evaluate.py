from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rerank_plugins.cli import app
from rerank_plugins.cli.evaluation_table import results_tables
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.results import EvaluationResults


def dataset(folder: Path) -> Path:
    words = ["panda", "bamboo", "Paris", "Berlin", "revenue", "passport"]
    path = folder / "mine.jsonl"
    entries = [
        {"query": f"{one} {other}?", "pos": [f"{one} and {other}"], "neg": [f"{other} alone"]}
        for one, other in pairwise(words)
    ]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return path


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)], env={"COLUMNS": "160"})
    if result.exception is not None:
        raise result.exception
    return result.output


def test_tables_results_and_runs(checkpoints: Path, tmp_path: Path) -> None:
    models = ["--embedder", checkpoints / "bert-embedder", "--reranker", checkpoints / "bert-reranker"]
    depths = ["--top-k", 4, "--top-n", 2, "--depth", 2, "--depth", 4, "--growth", "--growth-from", 8]
    out = tmp_path / "out"
    data = dataset(tmp_path)
    printed = run(data, "-o", out, *models, *depths, "--measure", "hit@2", "--max-queries", 4, "--price-per-hour", 1)
    results = EvaluationResults.from_json((out / "results.json").read_text(encoding="utf-8"))
    assert len(results.cells) == 6
    assert [curve.kind for curve in results.curves] == ["depth", "growth"]
    assert all((out / cell.run_file).is_file() for cell in results.cells)
    for expected in (
        "mine: 4 queries",
        "hit@2",
        "p95 ms",
        "cost/1000",
        "4 of 5 queries, sampled with seed 0",
        "documents in",
    ):
        assert expected in printed
    assert len(results_tables(results)) == 3


def test_the_first_stage_alone(tmp_path: Path) -> None:
    printed = run(dataset(tmp_path), "-o", tmp_path / "out", "--retriever", "bm25", "--reranker", "none", "--top-n", 1)
    assert "bm25 (keep 1)" in printed
    assert "1.000" in printed


def test_a_least_size_without_growth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="--growth-from 8 does nothing without --growth"):
        run(dataset(tmp_path), "-o", tmp_path / "out", "--growth-from", 8)
    assert not (tmp_path / "out").exists()


def test_depths_without_a_reranker_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="there is no reranker: name one, or leave depths"):
        run(dataset(tmp_path), "-o", tmp_path / "out", "--retriever", "bm25", "--reranker", "none", "--depth", 2)


def test_a_report_is_made_again_from_what_was_evaluated(tmp_path: Path) -> None:
    data, out = dataset(tmp_path), tmp_path / "out"
    run(data, "-o", out, "--retriever", "bm25", "--reranker", "none", "--no-report")
    arguments = ["report", str(out / "results.json"), "--data", str(data), "-o", str(tmp_path / "report")]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    two = tmp_path / "two" / "mine"
    (two / "qrels").mkdir(parents=True)
    for split in ("dev", "test"):
        (two / "qrels" / f"{split}.tsv").write_text("q\td\t1\n")
    for name in ("corpus", "queries"):
        (two / f"{name}.jsonl").write_text(f'{{"_id": "{"d" if name == "corpus" else "q"}", "text": "x"}}')
    arguments[3] = str(two)
    with pytest.raises(InvalidInputError, match="--split"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert CliRunner().invoke(app, [*arguments, "--split", "dev"], catch_exceptions=False).exit_code == 0


def test_mistakes_in_the_data_are_an_error_or_dropped(tmp_path: Path) -> None:
    path = tmp_path / "val.json"
    entry = {
        "queries": {"1": "a b", "2": " "},
        "corpus": {"x": "a b"},
        "relevant_docs": {"1": ["x", "gone"], "2": ["x"]},
    }
    path.write_text(json.dumps(entry), encoding="utf-8")
    options = [path, "-o", tmp_path / "out", "--retriever", "bm25", "--reranker", "none"]
    with pytest.raises(InvalidInputError, match="'gone' of query '1'"):
        run(*options)
    printed = run(*options, "--drop-bad")
    assert "left out: 1 judgements name documents" in printed
    assert "left out: 1 queries are blank" in printed
    assert "val: 1 queries" in printed


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--retriever", "magic"], "'magic'"),
        (["--top-k", "5", "--top-n", "10"], "retrieve more or keep fewer"),
        (["--measure", "goodness"], "no measure 'goodness'"),
        (["--reranker", "mini?colour=red"], "cannot use colour"),
    ],
)
def test_options_that_cannot_work(tmp_path: Path, options: list[str], match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        run(dataset(tmp_path), "-o", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()
