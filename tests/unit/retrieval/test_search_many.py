"""Many queries at once give what each gives alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rerank_plugins import Embedder
from rerank_plugins.backends.vectors import SimpleTextEmbedder, embedder_spec
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval import BM25Index, DenseIndex, FirstStage, HybridIndex
from rerank_plugins.retrieval.first_stage import search_many

TEXTS = {f"d{number}": f"{'panda ' * (number % 5)}{'bamboo ' * (number % 3)}salt {number}" for number in range(25)}
QUERIES = ["panda", "bamboo salt", "7 panda"]


class Letters(SimpleTextEmbedder):
    spec = embedder_spec("tests/letters", dimensions=26)

    def __init__(self) -> None:
        self.n_calls = 0

    def embed_texts(self, texts: Sequence[str], *, is_query: bool) -> list[list[float]]:
        self.n_calls += 1
        return [[0.1 + text.count(chr(97 + letter)) for letter in range(26)] for text in texts]


def stages() -> dict[str, FirstStage]:
    embedder = Embedder(backend=Letters())
    flat, exact = DenseIndex(TEXTS, embedder), DenseIndex(TEXTS, embedder, faiss_index=None)
    bm25 = BM25Index(TEXTS)
    return {"bm25": bm25, "flat": flat, "numpy": exact, "hybrid": HybridIndex([flat, bm25])}


@pytest.mark.parametrize("name", ["bm25", "flat", "numpy", "hybrid"])
def test_the_same_as_one_by_one(name: str) -> None:
    stage = stages()[name]
    together = search_many(stage, QUERIES, top_k=6)
    for query, found in zip(QUERIES, together, strict=True):
        alone = stage.search(query, top_k=6)
        assert list(found) == list(alone)
        assert list(found.values()) == pytest.approx(list(alone.values()), rel=1e-6)
    assert search_many(stage, [], top_k=3) == []


def test_queries_are_embedded_together() -> None:
    backend = Letters()
    index = DenseIndex(TEXTS, Embedder(backend=backend))
    before = backend.n_calls
    index.search_many(QUERIES, top_k=2)
    assert backend.n_calls == before + 1


def test_wrong_queries() -> None:
    index = DenseIndex(TEXTS, Embedder(backend=Letters()))
    with pytest.raises(InvalidInputError, match="blank"):
        index.search_many(["panda", " "], top_k=2)
    with pytest.raises(InvalidInputError, match="top_k"):
        index.search_many(["panda"], top_k=0)
    assert DenseIndex({}, Embedder(backend=Letters())).search_many(["panda"], top_k=2) == [{}]


@pytest.mark.parametrize("top_k", [0, -1])
def test_a_hybrid_checks_how_many_are_wanted(top_k: int) -> None:
    hybrid = HybridIndex([BM25Index(TEXTS), DenseIndex(TEXTS, Embedder(backend=Letters()))])
    with pytest.raises(InvalidInputError, match=f"top_k must be a positive integer or None, got {top_k}"):
        hybrid.search_many(["panda"], top_k=top_k)
