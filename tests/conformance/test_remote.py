"""Services pass the suites of models that run here: this package's own server, asked in four dialects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from embedder_conformance import EmbedderConformance
from reranker_conformance import RerankerConformance

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

from loopback_server import loopback_server

from rerank_plugins import Embedder, Reranker


@pytest.fixture(scope="module")
def address(checkpoints: Path) -> Iterator[str]:
    with loopback_server(checkpoints) as found:
        yield found


@pytest.mark.parametrize("service", ["rerank-plugins", "tei", "cohere", "vllm"])
class TestRemoteReranker(RerankerConformance):
    @pytest.fixture
    def reranker(self, address: str, service: str) -> Iterator[Reranker]:
        # Words: the suite makes texts of three times as many.
        with Reranker(f"{service}:{address}#ranker", max_length=300) as made:
            yield made


@pytest.mark.parametrize("service", ["rerank-plugins", "tei", "openai"])
class TestRemoteEmbedder(EmbedderConformance):
    @pytest.fixture
    def embedder(self, address: str, service: str) -> Iterator[Embedder]:
        base = f"{address}/v1" if service == "openai" else address
        with Embedder(f"{service}:{base}#vectors?dimensions=32", max_length=300) as made:
            yield made
