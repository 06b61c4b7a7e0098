"""The bundled models equal the reference implementation that trained them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from declared import parity

from rerank_plugins import Embedder, LongDocuments, Reranker

mini = pytest.importorskip("rerank_plugins_mini")

GOLDENS = Path(__file__).parents[2] / "models" / "mini" / "train" / "golden.json"


@parity("mini", kind="reranker", architectures=["rerank_plugins_segment_similarity"], reference="its training code")
def test_scores_equal_the_training_codes() -> None:
    cases = [case for case in json.loads(GOLDENS.read_text(encoding="utf-8")) if case["document"].strip()]
    # The training code cuts the document alone; the facade also limits the query unless told how far.
    reranker = Reranker("mini", device="cpu", long_documents=LongDocuments(query_max_length=500))
    scores = reranker.score([(case["query"], case["document"]) for case in cases])
    assert scores == pytest.approx([case["score"] for case in cases], abs=1e-4)


@parity("mini", kind="embedder", architectures=["model2vec"], reference="model2vec")
def test_embedder_equals_model2vec() -> None:
    model2vec = pytest.importorskip("model2vec")
    texts = ["What do pandas eat?", "Net revenue grew.", "大熊猫"]
    expected = model2vec.StaticModel.from_pretrained(mini.embedder_path(), normalize=True).encode(texts)
    assert np.abs(Embedder("mini").embed_documents(texts) - expected).max() <= 1e-4
