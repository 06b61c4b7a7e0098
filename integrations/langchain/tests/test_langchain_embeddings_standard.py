"""langchain-tests' own suites, for every embeddings class."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_rerank_plugins import BceEmbeddings, BgeEmbeddings, InstructionEmbeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests


class _Bge:
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return BgeEmbeddings

    @pytest.fixture(autouse=True)
    def _take_models(self, langchain_models: dict[str, str]) -> None:
        self.models = langchain_models

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": self.models["bert-embedder"]}


class _Bce(_Bge):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return BceEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": self.models["xlmr-embedder"]}


class _Instruction(_Bge):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return InstructionEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        instructions = {"query_instruction": "query: ", "document_instruction": "passage: "}
        return {"model": self.models["bert-embedder"], **instructions}


class TestBgeEmbeddingsUnit(_Bge, EmbeddingsUnitTests):
    pass


class TestBgeEmbeddingsIntegration(_Bge, EmbeddingsIntegrationTests):
    pass


class TestBceEmbeddingsUnit(_Bce, EmbeddingsUnitTests):
    pass


class TestBceEmbeddingsIntegration(_Bce, EmbeddingsIntegrationTests):
    pass


class TestInstructionEmbeddingsUnit(_Instruction, EmbeddingsUnitTests):
    pass


class TestInstructionEmbeddingsIntegration(_Instruction, EmbeddingsIntegrationTests):
    pass
