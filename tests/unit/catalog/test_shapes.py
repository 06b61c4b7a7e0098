"""Sizes: published totals come out, and the work per token is what a hand computes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rerank_plugins.catalog.families import EMBEDDERS, RERANKERS
from rerank_plugins.catalog.layers import LayerRange
from rerank_plugins.catalog.shapes import Shape
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.catalog.speed import gflop_per_token, shape_of, speed_of

BUNDLED = (*RERANKERS, *EMBEDDERS)
BY_ID = {(spec.kind, spec.id): spec for spec in BUNDLED}
# Only shrinks: nothing public that was found says how large it is.
NO_SHAPE = {"amu/tao-8k"}

# Millions of parameters as their authors publish them, embeddings included.
PUBLISHED = {
    "BAAI/bge-reranker-v2-gemma": 2510,
    "BAAI/bge-reranker-v2-minicpm-layerwise": 2720,
    "BAAI/bge-reranker-v2.5-gemma2-lightweight": 9240,
    "Qwen/Qwen3-Reranker-0.6B": 596,
    "Qwen/Qwen3-Reranker-4B": 4020,
    "Qwen/Qwen3-Reranker-8B": 7570,
    "mixedbread-ai/mxbai-rerank-base-v2": 494,
    "mixedbread-ai/mxbai-rerank-large-v2": 1540,
    "castorini/monot5-base-msmarco": 223,
    "castorini/monot5-large-msmarco": 738,
    "castorini/monot5-3b-msmarco": 2850,
    "mixedbread-ai/mxbai-rerank-xsmall-v1": 70.8,
    "mixedbread-ai/mxbai-rerank-base-v1": 184,
    "mixedbread-ai/mxbai-rerank-large-v1": 435,
    "Alibaba-NLP/gte-reranker-modernbert-base": 149,
    "Alibaba-NLP/gte-multilingual-reranker-base": 306,
    "jinaai/jina-reranker-v1-tiny-en": 33,
    "jinaai/jina-reranker-v1-turbo-en": 37.8,
    "jinaai/jina-reranker-v2-base-multilingual": 278,
    "cross-encoder/ms-marco-MiniLM-L6-v2": 22.7,
    "intfloat/e5-mistral-7b-instruct": 7110,
}


@pytest.mark.parametrize(("name", "millions"), PUBLISHED.items())
def test_published_totals(name: str, millions: float) -> None:
    shape = shape_of(BY_ID.get(("reranker", name)) or BY_ID["embedder", name])
    assert shape is not None
    assert shape.parameters / 1e6 == pytest.approx(millions, rel=0.02)


def test_every_bundled_model_has_a_size_and_a_speed() -> None:
    assert {spec.id for spec in BUNDLED if shape_of(spec) is None} == NO_SHAPE
    for spec in BUNDLED:
        shape = shape_of(spec)
        assert (speed_of(spec) is None) == (gflop_per_token(spec) is None) == (shape is None)
        assert shape is None or shape.source.startswith("https://") or spec.package
        assert spec.signature is None or shape is None or shape.hidden == spec.signature.hidden_size


def test_by_hand() -> None:
    # Attention 4 x 10 x 10, feed-forward 2 x 10 x 40: 1,200 a layer, 2,400 in two; 100 tokens x 10.
    assert Shape(layers=2, hidden=10, inner=40, vocabulary=100).parameters == 3400
    # Queries and output 2 x 10 x 20, keys and values 2 x 10 x 5, feed-forward 3 x 10 x 40: 1,700.
    gated = Shape(layers=1, hidden=10, inner=40, vocabulary=0, query_width=20, key_width=5, gated=True)
    assert gated.layer_weights == gated.weights_passed(1) == 1700
    # The decoder's layer attends twice, 400 + 400 + 800; of it a token passes keys and values, 200.
    t5 = Shape(layers=1, hidden=10, inner=40, vocabulary=0, decoder_layers=1)
    assert (t5.parameters, t5.weights_passed(1)) == (1200 + 1600, 1200 + 200)


@pytest.mark.parametrize(
    ("kind", "name", "gflop", "speed"),
    [
        ("embedder", "mini", 0.0, "static"),
        ("reranker", "mini", 0.0212, "very fast"),
        ("reranker", "BAAI/bge-reranker-base", 0.170, "fast"),
        ("reranker", "BAAI/bge-reranker-v2-m3", 0.604, "medium"),
        ("reranker", "BAAI/bge-reranker-v2-gemma", 3.964, "slow"),
        ("reranker", "BAAI/bge-reranker-v2-minicpm-layerwise", 3.419, "slow"),
        ("reranker", "BAAI/bge-reranker-v2.5-gemma2-lightweight", 11.10, "very slow"),
    ],
)
def test_work_per_token(kind: str, name: str, gflop: float, speed: str) -> None:
    spec = BY_ID[kind, name]  # type: ignore[index]
    assert gflop_per_token(spec) == pytest.approx(gflop, rel=0.005)
    assert speed_of(spec) == speed


def test_work_follows_the_default_layer() -> None:
    spec = BY_ID["reranker", "BAAI/bge-reranker-v2-minicpm-layerwise"]
    deep = gflop_per_token(replace(spec, layers=LayerRange(first=40, last=40)))
    assert gflop_per_token(spec) == pytest.approx((deep or 0) * 28 / 40)


def test_a_model_of_another_package_may_be_unknown() -> None:
    spec = ModelSpec(
        id="someone/else",
        kind="reranker",
        family="else",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
    )
    assert (shape_of(spec), gflop_per_token(spec), speed_of(spec)) == (None, None, None)
