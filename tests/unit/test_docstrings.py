"""Numbers and names in docstrings are those of the code."""

from __future__ import annotations

import inspect
from typing import get_args

import pytest
import torch

from rerank_plugins import Embedder, EngineOptions, LayerOptions, LongDocuments, Reranker, types
from rerank_plugins.backends import runtimes
from rerank_plugins.catalog import known_models
from rerank_plugins.catalog.layers import COMPRESS_RATIOS
from rerank_plugins.engine.device import DTYPES, default_budget_tokens
from rerank_plugins.types import options


def said(owner: object) -> str:
    return " ".join((inspect.getdoc(owner) or "").split())


def test_batch_sizes() -> None:
    cpu, gpu = (default_budget_tokens(torch.device(name)) for name in ("cpu", "cuda"))
    each = default_budget_tokens(torch.device("cpu"), n_parts=8) // 8
    text = said(EngineOptions)
    assert f"{cpu:,} on a CPU (for BERT-like models {each:,} for each of up to eight threads)" in text
    assert f"and {gpu:,} on a GPU" in text
    assert f"{runtimes._BATCH_TOKENS:,} in ONNX Runtime" in text


@pytest.mark.parametrize("owner", [Reranker, Embedder])
def test_precisions(owner: type) -> None:
    text = said(owner)
    assert all(f"``{name}``" in text for name in ("auto", *DTYPES))
    kind = owner.__name__.lower()
    halves = {spec.half_precision for (of_kind, _), spec in known_models().items() if of_kind == kind}
    # What "auto" is on CUDA is told for every precision that a model of this kind was trained in.
    auto = text.partition("``auto`` (")[2].partition(")")[0]
    assert halves == {name for name in ("bfloat16", "float16") if f" {name}" in auto}


def test_strategies_and_rules() -> None:
    assert all(f"``{name}``" in said(Reranker) for name in get_args(types.LongDocumentStrategy))
    source = inspect.getsource(options)
    rules = source[source.index("TruncationRule = ") :].partition("@")[0]
    assert all(f"``{name}``" in rules for name in get_args(types.TruncationRule))


def test_defaults_of_long_documents() -> None:
    text, usual = said(LongDocuments), LongDocuments()
    assert f"(BCEmbedding: {usual.overlap_tokens})" in text
    assert f"(BCEmbedding: {usual.max_characters:,})" in text


def test_ratios() -> None:
    listed = [str(ratio) for ratio in COMPRESS_RATIOS]
    assert f"{listed[0]} (off), {', '.join(listed[1:-1])} or {listed[-1]}" in said(LayerOptions)


@pytest.mark.parametrize(
    "owner",
    [
        *(getattr(options, name) for name in options.__all__ if isinstance(getattr(options, name), type)),
        Reranker,
        Embedder,
    ],
)
def test_every_option_is_described(owner: type) -> None:
    names = list(inspect.signature(owner).parameters)
    assert [name for name in names if f" {name}: " not in said(owner)] == []
