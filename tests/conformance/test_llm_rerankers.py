"""The three kinds of LLM rerankers, with and without windows, pass the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from llm_checkpoints import llm_checkpoint
from reranker_conformance import RerankerConformance

from rerank_plugins import LayerOptions, Reranker

LAYERS = {
    "tiny-gemma": None,
    "tiny-minicpm-layerwise": LayerOptions(cutoff_layers=(4,)),
    "tiny-gemma2-lightweight": LayerOptions(cutoff_layers=(5,), compress_ratio=2, compress_layers=(3,)),
}


@pytest.fixture(scope="module", autouse=True)
def _weights_stay_loaded() -> Iterator[None]:
    with ExitStack() as stack:
        for name, layers in LAYERS.items():
            stack.enter_context(Reranker(llm_checkpoint(name), device="cpu", layers=layers))
        yield


@pytest.mark.parametrize("model", list(LAYERS), scope="class")
@pytest.mark.parametrize("long_documents", ["truncate", "maxp"], scope="class")
class TestLLMReranker(RerankerConformance):
    @pytest.fixture
    def reranker(self, model: str, long_documents: str) -> Iterator[Reranker]:
        made = Reranker(
            llm_checkpoint(model), device="cpu", max_length=128, long_documents=long_documents, layers=LAYERS[model]
        )
        with made as opened:
            yield opened
