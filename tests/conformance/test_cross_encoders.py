"""Both cross-encoder layouts, with and without windows, pass the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from reranker_conformance import RerankerConformance

from rerank_plugins import Reranker

MODELS = ("bert-reranker", "xlmr-reranker")


@pytest.fixture(scope="module", autouse=True)
def _weights_stay_loaded(checkpoints: Path) -> Iterator[None]:
    with Reranker(checkpoints / MODELS[0], device="cpu"), Reranker(checkpoints / MODELS[1], device="cpu"):
        yield


@pytest.mark.parametrize("model", MODELS, scope="class")
@pytest.mark.parametrize("long_documents", ["truncate", "maxp", "meanp"], scope="class")
class TestCrossEncoder(RerankerConformance):
    @pytest.fixture
    def reranker(self, checkpoints: Path, model: str, long_documents: str) -> Iterator[Reranker]:
        with Reranker(checkpoints / model, device="cpu", max_length=128, long_documents=long_documents) as opened:
            yield opened
