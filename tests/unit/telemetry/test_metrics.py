"""Metrics: what EngineStats says, for every model that is loaded and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_checkpoints
from safetensors.torch import load_file, save_file

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


def test_two_checkpoints_of_one_name_are_added_up(tmp_path: Path) -> None:
    registry = prometheus_client.CollectorRegistry()
    stop = export_to_prometheus(registry)
    folder = tiny_checkpoints.bert_reranker(tmp_path / "renewed")
    pairs = [("a", text) for text in tiny_checkpoints.SENTENCES]
    with Reranker(folder, device="cpu") as old:
        old.score(pairs)
        # Trained on, and saved under the same name.
        weights = load_file(folder / "model.safetensors")
        weights["classifier.bias"] += 1.0
        save_file(weights, folder / "new.safetensors", {"format": "pt"})
        (folder / "new.safetensors").replace(folder / "model.safetensors")
        with Reranker(folder, device="cpu") as new:
            assert new.score(pairs[:1]) != old.score(pairs[:1])
            labels = {"model": old.spec.id, "device": "cpu", "dtype": "float32"}
            assert registry.get_sample_value("rerank_calls_total", labels) == 3
            assert registry.get_sample_value("rerank_tokens_total", labels) == old.stats().tokens + new.stats().tokens
    stop()
