"""Embeddings whose queries and documents get the instructions that the model was trained with."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings
from pydantic import Field

from rerank_plugins.adapters import models
from rerank_plugins.adapters.descriptions import OPTIONS
from rerank_plugins.adapters.embedding import EmbedderOptions
from rerank_plugins.adapters.fields import Name, option

__all__ = ["BceEmbeddings", "BgeEmbeddings", "InstructionEmbeddings"]


class InstructionEmbeddings(EmbedderOptions, Embeddings):
    """Embeds with any model that the core knows, the instructions of its task included.

    Example:
        >>> embeddings = InstructionEmbeddings(model="BAAI/llm-embedder", task="qa")
        >>> len(embeddings.embed_query("Who wrote Faust?"))
        768
    """

    model: Name = Field(frozen=True, description=OPTIONS["model"])

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text, the document instruction included.

        Raises:
            InvalidInputError: An element is not a string.
            ScoringError: The model returned NaN.
            EngineClosedError: ``close()`` was called.
        """
        return self._document_vectors(texts)

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query, the query instruction included; raises as ``embed_documents``."""
        return self._query_vector(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return what :meth:`embed_documents` returns, without blocking the event loop."""
        return await self._adocument_vectors(texts)

    async def aembed_query(self, text: str) -> list[float]:
        """Return what :meth:`embed_query` returns, without blocking the event loop."""
        return await self._aquery_vector(text)


class BgeEmbeddings(models.BgeEmbedder, InstructionEmbeddings):
    """Embeds with a BGE model: ``BgeEmbeddings()``, or a small ``BgeEmbeddings(model="BAAI/bge-small-en-v1.5")``."""

    model: Name = option("model", models.BGE_EMBEDDER)


class BceEmbeddings(models.BceEmbedder, InstructionEmbeddings):
    """Embeds with the bilingual (Chinese, English) BCE model: ``BceEmbeddings()``."""

    model: Name = option("model", models.BCE_EMBEDDER)
