"""The bundled models pass the suite."""

from __future__ import annotations

import numpy as np
import pytest
from reranker_conformance import RerankerConformance

from rerank_plugins import Embedder, Reranker

pytest.importorskip("rerank_plugins_mini")


@pytest.mark.slow
class TestMini(RerankerConformance):
    @pytest.fixture
    def reranker(self) -> Reranker:
        return Reranker("mini", device="cpu", max_length=128)


def test_relevance_is_a_probability() -> None:
    ranked = Reranker("mini").rank("What do pandas eat?", ["Net revenue grew.", "The giant panda eats bamboo."])
    assert ranked[0].index == 1
    assert ranked[0].probability > 0.5 > ranked[1].probability


def test_embedder_finds_the_right_text() -> None:
    embedder = Embedder("mini")
    assert embedder.spec.scorer == "static"
    query = embedder.embed_queries(["What do pandas eat?"])
    documents = embedder.embed_documents(["Net revenue grew.", "The giant panda eats bamboo."])
    assert documents.shape == (2, embedder.spec.dimensions)
    assert int(np.argmax(query @ documents.T)) == 1
