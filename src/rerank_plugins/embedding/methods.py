"""The part of the embedding facade that is about vectors of several kinds."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from rerank_plugins.arguments import checked_call
from rerank_plugins.catalog.scorer_traits import traits_of
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.embedding.multi import OUTPUTS, check_outputs, check_weights, score_pairs
from rerank_plugins.embedding.vectors import PairScores, TextVectors
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_text_pairs, check_texts

__all__ = ["MultiVectorMethods"]


class MultiVectorMethods(ABC):
    """Methods of an embedder whose model has several outputs; the others refuse them."""

    @property
    @abstractmethod
    def spec(self) -> ModelSpec:
        """What is known about the model."""

    @abstractmethod
    def _encode(self, texts: list[str], outputs: tuple[str, ...], *, as_queries: bool) -> TextVectors:
        """Return the vectors of checked texts."""

    @abstractmethod
    async def _aencode(self, texts: list[str], outputs: tuple[str, ...], *, as_queries: bool) -> TextVectors:
        """Return the vectors of checked texts, without blocking the event loop."""

    @checked_call(own=("queries",))
    def encode_queries(self, queries: Sequence[str], *, outputs: Sequence[str] = OUTPUTS) -> TextVectors:
        """Return vectors of several kinds from one forward pass (BGE-M3); the instruction is included.

        Args:
            queries: Texts.
            outputs: Which of ``dense``, ``sparse`` (lexical weights) and ``colbert`` (one vector per token).

        Raises:
            InvalidInputError: An element is not a string, an output is not known, or the model has dense vectors only.
            UnsafeModelError: The heads for the other kinds are pickles, and ``allow_pickle`` is off.
            ScoringError: The model returned NaN or infinity.
            EngineClosedError: ``close()`` was called.
        """
        return self._encode(check_texts(queries, name="queries"), self._checked(outputs), as_queries=True)

    @checked_call(own=("documents",))
    def encode_documents(self, documents: Sequence[str], *, outputs: Sequence[str] = OUTPUTS) -> TextVectors:
        """Return vectors of several kinds from one forward pass; see :meth:`encode_queries`."""
        return self._encode(check_texts(documents, name="documents"), self._checked(outputs), as_queries=False)

    @checked_call(own=("queries",))
    async def aencode_queries(self, queries: Sequence[str], *, outputs: Sequence[str] = OUTPUTS) -> TextVectors:
        """Return what :meth:`encode_queries` returns, without blocking the event loop."""
        return await self._aencode(check_texts(queries, name="queries"), self._checked(outputs), as_queries=True)

    @checked_call(own=("documents",))
    async def aencode_documents(self, documents: Sequence[str], *, outputs: Sequence[str] = OUTPUTS) -> TextVectors:
        """Return what :meth:`encode_documents` returns, without blocking the event loop."""
        return await self._aencode(check_texts(documents, name="documents"), self._checked(outputs), as_queries=False)

    @checked_call(own=("pairs",))
    def score_pairs(
        self, pairs: Sequence[tuple[str, str]], *, weights: Sequence[float] = (1.0, 1.0, 1.0)
    ) -> list[PairScores]:
        """Return how well each document fits its query by all three kinds of vectors, as BGE-M3's ``compute_score``.

        Args:
            pairs: (query, document).
            weights: Of dense, sparse and colbert in the weighted means (FlagEmbedding's default: all 1).

        Raises:
            InvalidInputError: An element is not a pair of strings, the weights cannot be a mean's, or as in
                :meth:`encode_queries`.
        """
        checked, settled = check_text_pairs(pairs), check_weights(weights)
        queries = self.encode_queries([query for query, _ in checked])
        return score_pairs(queries, self.encode_documents([document for _, document in checked]), settled)

    @checked_call(own=("pairs",))
    async def ascore_pairs(
        self, pairs: Sequence[tuple[str, str]], *, weights: Sequence[float] = (1.0, 1.0, 1.0)
    ) -> list[PairScores]:
        """Return what :meth:`score_pairs` returns, without blocking the event loop."""
        checked, settled = check_text_pairs(pairs), check_weights(weights)
        queries = await self.aencode_queries([query for query, _ in checked])
        documents = await self.aencode_documents([document for _, document in checked])
        return await asyncio.to_thread(score_pairs, queries, documents, settled)

    def _checked(self, outputs: Sequence[str]) -> tuple[str, ...]:
        checked = check_outputs(outputs)
        if not traits_of(self.spec.scorer).has_token_vectors:
            msg = (
                f"{self.spec.id!r} has dense vectors only: use embed_queries and embed_documents, or a model with "
                "heads for the other kinds, such as BAAI/bge-m3"
            )
            raise InvalidInputError(msg)
        return checked
