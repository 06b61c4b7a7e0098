"""Observers: called for each call, never at its cost."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from rerank_plugins import Reranker
from rerank_plugins.observing import CallRecord, add_observer


def test_records_until_removed(bert_reranker_folder: Path) -> None:
    records: list[CallRecord] = []
    remove = add_observer(records.append)
    reranker = Reranker(bert_reranker_folder, device="cpu")
    reranker.score([("a", "b")])
    remove()
    remove()
    reranker.score([("a", "b")])
    (record,) = records
    assert (record.operation, record.model, record.device) == ("rerank", reranker.spec.id, "cpu")
    assert record.started_ns <= record.ended_ns
    assert record.usage is not None
    assert record.error is None


def test_a_broken_observer_costs_no_result(bert_reranker_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_record: CallRecord) -> None:
        msg = "exporter is gone"
        raise RuntimeError(msg)

    remove = add_observer(broken)
    with caplog.at_level(logging.ERROR, logger="rerank_plugins"):
        assert len(Reranker(bert_reranker_folder, device="cpu").score([("a", "b")])) == 1
    remove()
    assert "an observer of rerank_plugins failed" in caplog.text
