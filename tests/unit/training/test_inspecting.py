"""Training data looked at before a training."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.data import CheckOptions
from rerank_plugins.training.inspecting import inspect_data
from rerank_plugins.training.settings import DataSettings

ROW = {"query": "what is it", "pos": ["this"], "neg": ["that"]}
PAIRS = [{"query": query, "content": f"{query} {label}", "label": label} for label in (1, 0) for query in ("a", "b")]
MIXED = [{"query": "a", "qrels": {"x": 2, "y": 0}}, {"query": "b", "hits": [{"content": "z", "label": 1}]}]


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def inspect(folder: Path, dev: list[dict[str, Any]], row: dict[str, Any]) -> None:
    train = write(folder / "train.jsonl", row)
    data = DataSettings(train_data=(train,), dev_data=write(folder / "dev.jsonl", *dev), train_group_size=2)
    inspect_data(data, CheckOptions(group_size=2))


@pytest.mark.parametrize("dev", [PAIRS, MIXED], ids=["scattered", "mixed"])
def test_a_dev_set_is_read_as_evaluation_reads_it(tmp_path: Path, dev: list[dict[str, Any]]) -> None:
    inspect(tmp_path, dev, ROW)
    with pytest.raises(InvalidInputError, match="queries that stand in the dev set too"):
        inspect(tmp_path, dev, {**ROW, "query": " B "})


@pytest.mark.parametrize(("dev", "text"), [(PAIRS, "b 1"), (MIXED, "x")], ids=["scattered", "mixed"])
def test_its_positives_are_found(
    tmp_path: Path, dev: list[dict[str, Any]], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        inspect(tmp_path, dev, {**ROW, "pos": [text]})
    assert "rows with a positive that is a positive in the dev set too" in caplog.text


def test_keys_that_are_not_read_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        inspect(tmp_path, MIXED, {**ROW, "difficulty": 3})
    assert "not read: key 'difficulty', which is not read (1)" in caplog.text
