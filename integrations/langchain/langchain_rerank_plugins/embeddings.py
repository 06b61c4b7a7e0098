"""Embeddings whose queries and documents get the instructions that the model was trained with.

Texts reach the tokenizer as they are; line breaks are not replaced.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings
from pydantic import Field, StrictInt
from typing_extensions import Self

from langchain_rerank_plugins.options import CoreBacked
from rerank_plugins import Embedder, QueryExample
from rerank_plugins.errors import InvalidInputError

__all__ = ["BceEmbeddings", "BgeEmbeddings", "InstructionEmbeddings"]


class InstructionEmbeddings(CoreBacked, Embeddings):
    """Embeds with any model that the core knows, the instructions of its task included.

    One object may be used by any number of threads and event loops; vectors are lists of Python floats.

    Example:
        >>> embeddings = InstructionEmbeddings(model="BAAI/llm-embedder", task="qa")
        >>> len(embeddings.embed_query("Who wrote Faust?"))
        768
    """

    task: str | None = Field(default=None, frozen=True)
    """Which of the model's instructions to use (llm-embedder has six), or for models with a template a task in
    words (``Given a question, retrieve ...``); None takes the default."""

    query_instruction: str | None = Field(default=None, frozen=True)
    """Text put in front of each query; None takes the task's, ``""`` puts none."""

    document_instruction: str | None = Field(default=None, frozen=True)
    """Text put in front of each document; None takes the task's, ``""`` puts none."""

    examples: tuple[QueryExample, ...] | None = Field(default=None, frozen=True)
    """Solved examples of the task put in front of each query (bge-en-icl); None and ``()`` put none."""

    dimensions: StrictInt | None = Field(default=None, frozen=True)
    """Numbers of each vector that are kept; None keeps all. The catalog says which models were trained for that."""

    query_cache_entries: StrictInt | None = Field(default=None, frozen=True)
    """Queries whose vectors are kept, those used last; None keeps none."""

    normalize: bool | None = Field(default=None, frozen=True)
    """Scale vectors to length 1; None does what the model's authors do."""

    @classmethod
    def from_embedder(cls, embedder: Embedder) -> Self:
        """Return embeddings that use an existing core embedder. They cannot be pickled.

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

    model: str | Path = Field(default="BAAI/bge-m3", frozen=True)
    """A BGE embedder's hub id, or a local folder with one."""

    family: str | None = Field(default="bge", frozen=True)
    """Conventions to use for a local folder."""


class BceEmbeddings(InstructionEmbeddings):
    """Embeds with the bilingual (Chinese, English) BCE model, which takes no instruction."""

    model: str | Path = Field(default="maidalun1020/bce-embedding-base_v1", frozen=True)
    """The BCE embedder's hub id, or a local folder with it."""

    family: str | None = Field(default="bce", frozen=True)
    """Conventions to use for a local folder."""
