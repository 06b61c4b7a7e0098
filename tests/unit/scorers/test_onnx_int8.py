"""dtype="int8" in ONNX Runtime: tried at load on real texts, or float32 with a warning, as with torch."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import tiny_checkpoints
from safetensors.numpy import load_file, save_file

from rerank_plugins import Embedder, Reranker
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.nn.int8 import has_int8_products
from rerank_plugins.nn.int8_bound import why_too_far
from rerank_plugins.scorers import onnx_runtime

pytest.importorskip("onnxruntime")

on_int8 = pytest.mark.skipif(not has_int8_products(), reason="this CPU has no 8-bit products")
PAIRS = [("What is a panda?", text) for text in tiny_checkpoints.SENTENCES]


def with_wide_columns(folder: Path) -> Path:
    """Make columns so wide that nothing is left of the others in 8 bits; in float32 it is the same model."""
    path = folder / "model.safetensors"
    weights = {name: array.copy() for name, array in load_file(path).items()}
    for name in [one for one in weights if one.endswith("attention.output.LayerNorm.weight")]:
        prefix = name.removesuffix("attention.output.LayerNorm.weight")
        for norm in ("weight", "bias"):
            weights[f"{prefix}attention.output.LayerNorm.{norm}"][0] *= 1e-5
        weights[f"{prefix}intermediate.dense.weight"][:, 0] *= 1e5
    save_file(weights, path, {"format": "pt"})
    return folder


@on_int8
def test_a_reranker_that_8_bits_would_break_stays_in_float32(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = with_wide_columns(tiny_checkpoints.bert_reranker(tmp_path / "model"))
    exact = Reranker(folder, backend="onnx").score(PAIRS)
    with caplog.at_level(logging.WARNING, logger="rerank_plugins"):
        reranker = Reranker(folder, backend="onnx", dtype="int8")
    assert reranker.dtype == "float32"
    assert "runs in float32: states in 8 bits differ by" in caplog.text
    assert reranker.score(PAIRS) == exact


@on_int8
def test_an_embedder_that_8_bits_would_break_stays_in_float32(tmp_path: Path) -> None:
    folder = with_wide_columns(tiny_checkpoints.bert_embedder(tmp_path / "model", pooling="mean"))
    embedder = Embedder(folder, backend="onnx", dtype="int8")
    assert embedder.dtype == "float32"
    texts = tiny_checkpoints.SENTENCES
    assert np.array_equal(embedder.embed_documents(texts), Embedder(folder, backend="onnx").embed_documents(texts))


@on_int8
@pytest.mark.parametrize("model", ["mini", "mini-zh"])
def test_the_bundled_models_run_in_8_bits(model: str, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip(f"rerank_plugins_{model.replace('-', '_')}")
    assert Reranker(model, backend="onnx", dtype="int8").dtype == "int8"
    assert not caplog.text


def test_a_processor_without_8_bit_products_runs_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tiny_checkpoints.xlmr_reranker(tmp_path / "model")
    monkeypatch.setattr(onnx_runtime, "_has_int8_products", lambda _runtime: False)
    with caplog.at_level(logging.WARNING, logger="rerank_plugins"):
        reranker = Reranker(folder, backend="onnx", dtype="int8")
    assert reranker.dtype == "float32"
    assert "no exact products of 8-bit integers" in caplog.text
    assert reranker.score(PAIRS) == Reranker(folder, backend="onnx").score(PAIRS)


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_a_table_of_vectors_is_refused(backend: str) -> None:
    """It ran in float32 in ONNX Runtime, without a word."""
    pytest.importorskip("rerank_plugins_mini")
    with pytest.raises(UnsupportedModelError, match="for BERT-like encoders"):
        Embedder("mini", backend=backend, dtype="int8")  # type: ignore[arg-type]


def test_states_that_are_no_numbers_are_too_far() -> None:
    states = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    assert why_too_far(states * np.float32(1.01), states) == ""
    assert "differ by" in why_too_far(states * np.float32(2), states)
    assert "differ by nan" in why_too_far(states * np.float32(np.nan), states)
