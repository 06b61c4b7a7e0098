"""``rerank-plugins tune``."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from rerank_plugins import Cascade
from rerank_plugins.cli.application import app


def _rows(path: Path, n: int) -> Path:
    words = ["apple", "pear", "plum", "cherry", "melon", "grape", "lemon", "peach"]
    rows = [
        {
            "query": f"{words[i]} cake",
            "pos": [f"how a cake of {words[i]} is made"],
            "neg": [f"{words[i - 1]} trees", "rain"],
        }
        for i in range(n)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_writes_a_cascade_and_a_page(bert_reranker_folder: Path, tmp_path: Path) -> None:
    data, output = _rows(tmp_path / "rows.jsonl", 8), tmp_path / "out"
    stages = ["-s", "bm25", "-s", str(bert_reranker_folder)]
    options = ["--budget-ms", "100000", "--depth", "2", "-o", str(output), "--measure", "MRR@10"]
    result = CliRunner().invoke(app, ["tune", str(data), *stages, *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "<- recommended" in result.output
    found = json.loads((output / "tuning.json").read_text(encoding="utf-8"))
    assert found["n_tuned"] == found["n_held_out"] == 4
    assert [one["name"] for one in found["costs"]] == ["bm25", str(bert_reranker_folder)]
    page = (output / "tuning.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    assert found["recommended"]["name"].replace("&", "&amp;") in page
    cascade = Cascade.from_file(output / "cascade.json")
    with cascade:
        assert len(cascade.stages) == len(found["recommended"]["stages"])


def test_a_budget_of_0_is_refused_before_anything_is_scored(tmp_path: Path) -> None:
    data = _rows(tmp_path / "rows.jsonl", 8)
    arguments = ["tune", str(data), "-s", "bm25", "-s", "no-such-model", "--budget-ms", "0"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "above 0" in str(result.exception)
