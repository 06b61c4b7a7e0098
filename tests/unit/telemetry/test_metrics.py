"""Metrics: what EngineStats says, for every model that is loaded and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_checkpoints

from rerank_plugins import Reranker
from rerank_plugins.telemetry import export_to_prometheus

prometheus_client = pytest.importorskip("prometheus_client")


def test_counters_of_loaded_models(tmp_path: Path) -> None:
    registry = prometheus_client.CollectorRegistry()
    stop = export_to_prometheus(registry)
    folder = tiny_checkpoints.bert_reranker(tmp_path / "measured")
    with Reranker(folder, device="cpu") as reranker:
        reranker.score([("a", text) for text in tiny_checkpoints.SENTENCES])
        stats = reranker.stats()
        labels = {"model": reranker.spec.id, "device": "cpu", "dtype": "float32"}
        assert registry.get_sample_value("rerank_calls_total", labels) == 1
        assert registry.get_sample_value("rerank_tokens_total", labels) == stats.tokens
        assert registry.get_sample_value("rerank_forward_seconds_total", labels) == stats.forward_s
        assert registry.get_sample_value("rerank_waiting_calls", labels) == 0
        assert registry.get_sample_value("rerank_batch_tokens", labels) == stats.batch_tokens
        text = prometheus_client.generate_latest(registry).decode()
        assert "# TYPE rerank_batches_total counter" in text
    assert registry.get_sample_value("rerank_calls_total", labels) is None
    stop()
    assert not prometheus_client.generate_latest(registry)
