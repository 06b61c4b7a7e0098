"""Embeddings whose queries and documents get the instructions that the model was trained with.

Texts reach the tokenizer as they are; line breaks are not replaced.
"""

from __future__ import annotations

from typing import Any

from langchain_core.embeddings import Embeddings
from typing_extensions import Self

from langchain_rerank_plugins.options import CoreBacked
from rerank_plugins import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.fields import Count, Example, Name, Switch, Text, option

__all__ = ["BceEmbeddings", "BgeEmbeddings", "InstructionEmbeddings"]


class InstructionEmbeddings(CoreBacked, Embeddings):
    """Embeds with any model that the core knows, the instructions of its task included.

    One object may be used by any number of threads and event loops; vectors are lists of Python floats.

    Example:
        >>> embeddings = InstructionEmbeddings(model="BAAI/llm-embedder", task="qa")
        >>> len(embeddings.embed_query("Who wrote Faust?"))
        768
    """

    task: Text | None = option("task", None)
    query_instruction: Text | None = option("query_instruction", None)
    document_instruction: Text | None = option("document_instruction", None)
    examples: tuple[Example, ...] | None = option("examples", None)
    dimensions: Count | None = option("dimensions", None)
    query_cache_entries: Count | None = option("query_cache_entries", None)
    normalize: Switch | None = option("normalize", None)

    @classmethod
    def from_embedder(cls, embedder: Embedder) -> Self:
        """Return embeddings that use an existing core embedder.

        Args:
            embedder: What embeds, with its own settings; it stays the caller's.

        Raises:
            InvalidInputError: It is not a core embedder.
        """
        if not isinstance(embedder, Embedder):
            kind = type(embedder).__name__
            msg = f"embedder must be a rerank_plugins.Embedder, got {kind}; make one with Embedder(model)"
            raise InvalidInputError(msg)
        instruction = embedder.instruction
        cache = embedder.query_cache_statistics()
        options: dict[str, Any] = {
            "query_instruction": instruction.query,
            "document_instruction": instruction.document,
            "examples": embedder.examples or None,
            "dimensions": embedder.dimensions,
            "query_cache_entries": cache and cache.max_entries,
            "normalize": embedder.normalize,
        }
        return cls._from_core(embedder, options)

    @property
    def embedder(self) -> Embedder:
        """The core object; other adapters may use it too."""
        core: Embedder = self._core
        return core

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return one vector per text, the document instruction included.

        Raises:
            InvalidInputError: An element is not a string.
            ScoringError: The model returned NaN.
            EngineClosedError: ``close()`` was called.
        """
        vectors: list[list[float]] = self.embedder.embed_documents(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query, the query instruction included; raises as ``embed_documents``."""
        vectors: list[list[float]] = self.embedder.embed_queries([text]).tolist()
        return vectors[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return what :meth:`embed_documents` returns, without blocking the event loop."""
        vectors: list[list[float]] = (await self.embedder.aembed_documents(texts)).tolist()
        return vectors

    async def aembed_query(self, text: str) -> list[float]:
        """Return what :meth:`embed_query` returns, without blocking the event loop."""
        vectors: list[list[float]] = (await self.embedder.aembed_queries([text])).tolist()
        return vectors[0]

    def _open(self) -> Embedder:
        return Embedder(**self._loading_options())


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
