"""The conformance suite, for every compressor of the package and for LangChain's own."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_classic.retrievers.document_compressors import CrossEncoderReranker
from langchain_core.documents import BaseDocumentCompressor
from langchain_rerank_plugins import (
    BceRerankCompressor,
    BgeRerankCompressor,
    RerankCompressor,
    RerankCrossEncoder,
)
from rerank_plugins_testing.langchain import CompressorConformance

from rerank_plugins import EngineOptions, Reranker

ENGINE = ("max_waiting_tokens", "max_wait_ms", "max_batch_tokens")


class _OnTinyModels(CompressorConformance):
    @pytest.fixture(autouse=True)
    def _take_models(self, langchain_models: dict[str, str]) -> None:
        self.models = langchain_models


class TestRerankCompressor(_OnTinyModels):
    @property
    def compressor_class(self) -> type[BaseDocumentCompressor]:
        return RerankCompressor

    @property
    def compressor_params(self) -> dict[str, Any]:
        return {"model": self.models["bert-reranker"], "device": "cpu"}


class TestBgeRerankCompressor(_OnTinyModels):
    @property
    def compressor_class(self) -> type[BaseDocumentCompressor]:
        return BgeRerankCompressor

    @property
    def compressor_params(self) -> dict[str, Any]:
        return {"model": self.models["xlmr-reranker"], "device": "cpu"}


class TestBceRerankCompressor(_OnTinyModels):
    @property
    def compressor_class(self) -> type[BaseDocumentCompressor]:
        return BceRerankCompressor

    @property
    def compressor_params(self) -> dict[str, Any]:
        return {"model": self.models["xlmr-reranker"], "device": "cpu"}


class TestRerankCompressorFromReranker(_OnTinyModels):
    """The same promises hold for a reranker that exists already."""

    @property
    def compressor_class(self) -> type[BaseDocumentCompressor]:
        return RerankCompressor

    @property
    def features(self) -> frozenset[str]:
        return super().features - {"strict_options"}

    def make(self, **options: Any) -> BaseDocumentCompressor:
        limits = {name: options.pop(name) for name in ENGINE if name in options}
        reranker = Reranker(self.models["bert-reranker"], device="cpu", engine=EngineOptions(**limits))
        return RerankCompressor.from_reranker(reranker, **{"top_n": None, **options})


class TestLangChainCrossEncoderReranker(_OnTinyModels):
    """LangChain's own compressor over the core: what it does not do is left out of ``features``."""

    @property
    def compressor_class(self) -> type[BaseDocumentCompressor]:
        return CrossEncoderReranker

    @property
    def compressor_params(self) -> dict[str, Any]:
        return {"model": RerankCrossEncoder(model=self.models["bert-reranker"], device="cpu")}

    @property
    def features(self) -> frozenset[str]:
        return frozenset()
