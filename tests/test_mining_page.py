"""The commands and the Python of docs/mining-and-labelling.md run as they are printed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import tiny_rerankers
from test_docs import FENCED, ROOT, fenced
from training_rows import rows, write_rows
from typer.testing import CliRunner

from rerank_plugins.cli import app
from rerank_plugins.training import read_records

PAGE = (ROOT / "docs" / "mining-and-labelling.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rerank_plugins_mini")
    monkeypatch.chdir(tmp_path)
    data = rows(6)
    for name, seed in (("train", 1), ("dev", 2), ("other", 3)):
        write_rows(tmp_path / f"{name}.jsonl", rows(6, seed=seed))
    texts = [{"text": text} for row in rows(20, seed=4) for text in (*row["pos"], *row["neg"])]
    write_rows(tmp_path / "corpus.jsonl", texts)
    write_rows(tmp_path / "answers.jsonl", [{**row, "answers": [row["pos"][0]]} for row in data[:3]])
    tiny_rerankers.qwen_reranker(tmp_path / "path" / "to" / "language-model")
    for language, body in fenced(PAGE):
        if language == "python":
            exec(compile(body, "page", "exec"), {})
            continue
        words = shlex.split(body)[1:]
        if words[0] == "train":
            words += ["--max-steps", "2", "--dev-fraction", "0"]
        result = CliRunner().invoke(app, words, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert len(FENCED.findall(PAGE)) == 6
    assert all(one.neg_scores for one in read_records(tmp_path / "labelled.jsonl"))
    assert json.loads((tmp_path / "my-mini-70" / "merge.json").read_text())["weights"] == {"my-mini": 0.7, "mini": 0.3}
