"""Embeddings whose queries and documents get the instructions that the model was trained with."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings
from pydantic import Field

from rerank_plugins.adapters.descriptions import OPTIONS
from rerank_plugins.adapters.embedding import EmbedderOptions
from rerank_plugins.adapters.fields import Name, Text, option

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


class BgeEmbeddings(InstructionEmbeddings):
    """Embeds with a BGE model.

    The default reads over 100 languages and 8,192 tokens (568M parameters, 1024 dimensions);
    ``BAAI/bge-small-en-v1.5`` and ``BAAI/bge-small-zh-v1.5`` are the small ones for one language.
    """

    model: Name = option("model", "BAAI/bge-m3")
    family: Text | None = option("family", "bge")


class BceEmbeddings(InstructionEmbeddings):
    """Embeds with the bilingual (Chinese, English) BCE model, which takes no instruction."""

    model: Name = option("model", "maidalun1020/bce-embedding-base_v1")
    family: Text | None = option("family", "bce")
