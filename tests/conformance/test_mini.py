"""The bundled models pass the suite, and equal the reference implementation that trained them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from reranker_conformance import RerankerConformance

from rerank_plugins import Embedder, Reranker

mini = pytest.importorskip("rerank_plugins_mini")

GOLDENS = Path(__file__).parents[2] / "models" / "mini" / "train" / "golden.json"


@pytest.mark.slow
class TestMini(RerankerConformance):
    @pytest.fixture
    def reranker(self) -> Reranker:
        return Reranker("mini", device="cpu", max_length=128)


def test_scores_equal_the_training_codes() -> None:
    cases = [case for case in json.loads(GOLDENS.read_text(encoding="utf-8")) if case["document"].strip()]
    # The training code cuts the document alone; the facade also limits the query unless told how far.
    reranker = Reranker("mini", device="cpu", query_max_length=500)
    scores = reranker.score([(case["query"], case["document"]) for case in cases])
    assert scores == pytest.approx([case["score"] for case in cases], abs=1e-4)


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


def test_embedder_equals_model2vec() -> None:
    model2vec = pytest.importorskip("model2vec")
    texts = ["What do pandas eat?", "Net revenue grew.", "大熊猫"]
    expected = model2vec.StaticModel.from_pretrained(mini.embedder_path(), normalize=True).encode(texts)
    assert np.abs(Embedder("mini").embed_documents(texts) - expected).max() <= 1e-4
