"""The part of the embedding facade that is about vectors of several kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_plugins.backends.kept_vectors import KeptVectors
from rerank_plugins.backends.late_embedder import LateEmbedder
from rerank_plugins.calls.driving import adrive, drive, started
from rerank_plugins.calls.texts import TextCalls
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Seconds
from rerank_plugins.embedding.kept import TokenVectorStore
from rerank_plugins.embedding.multi import check_weights, score_pairs
from rerank_plugins.embedding.vectors import PairScores, TextVectors
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.inputs import check_texts
from rerank_plugins.text.tokenizer import is_blank

__all__ = ["MultiVectorMethods"]


class MultiVectorMethods:
    """Methods of an embedder whose model has several outputs; the others refuse them."""

    _backend: Any
    _calls: TextCalls

    @checked_call(unchecked=("queries",))
    def encode_queries(
        self, queries: Sequence[str], *, outputs: Sequence[str] | None = None, deadline_s: Seconds | None = None
    ) -> TextVectors:
        """Return vectors of several kinds from one forward pass (BGE-M3), or those of tokens (ColBERT and its kin).

        A ColBERT's are those that count in a score: of a query with the tokens that fill it up, of a document without
        what is on its skip list. The instruction is included.

        Args:
            queries: Texts.
            outputs: Which of ``dense``, ``sparse`` (lexical weights) and ``colbert`` (one vector per token); None
                gives all that the model has.
            deadline_s: Seconds after which to give up; None takes the object's own deadline.

        Raises:
            InvalidInputError: An element is not a string, an output is not known, or the model has dense vectors only.
            UnsafeModelError: The heads for the other kinds are pickles, and ``allow_pickle`` is off.
            ScoringError: The model returned NaN or infinity.
            DeadlineExceededError: The time is over.
            EngineClosedError: ``close()`` was called.
        """
        return drive(self._backend, self._calls.encode(queries, outputs, is_query=True, deadline_s=deadline_s))

    @checked_call(unchecked=("documents",))
    def encode_documents(
        self, documents: Sequence[str], *, outputs: Sequence[str] | None = None, deadline_s: Seconds | None = None
    ) -> TextVectors:
        """Return vectors of several kinds from one forward pass; see :meth:`encode_queries`."""
        return drive(self._backend, self._calls.encode(documents, outputs, is_query=False, deadline_s=deadline_s))

    @checked_call(unchecked=("queries",))
    async def aencode_queries(
        self, queries: Sequence[str], *, outputs: Sequence[str] | None = None, deadline_s: Seconds | None = None
    ) -> TextVectors:
        """Return what :meth:`encode_queries` returns, without blocking the event loop."""
        steps = self._calls.encode(queries, outputs, is_query=True, deadline_s=deadline_s)
        return await adrive(self._backend, steps)

    @checked_call(unchecked=("documents",))
    async def aencode_documents(
        self, documents: Sequence[str], *, outputs: Sequence[str] | None = None, deadline_s: Seconds | None = None
    ) -> TextVectors:
        """Return what :meth:`encode_documents` returns, without blocking the event loop."""
        steps = self._calls.encode(documents, outputs, is_query=False, deadline_s=deadline_s)
        return await adrive(self._backend, steps)

    @checked_call(unchecked=("documents",))
    def stored_vectors(
        self, documents: Sequence[str], store: TokenVectorStore, *, deadline_s: Seconds | None = None
    ) -> list[npt.NDArray[np.float32]]:
        """Return the token vectors of documents from a store; what it lacks is made and kept there first.

        What is made in one call is one file of the store: give it hundreds of documents at once. A reranker with the
        same model and ``cache=store`` compares the same vectors.

        Args:
            documents: Texts; blank ones have no vectors.
            store: Where they are kept, as exactly as its precision says.
            deadline_s: Seconds after which to give up, and nothing is kept; None has no limit.

        Returns:
            Shape of each: (tokens, dim), float32.

        Raises:
            UnsupportedModelError: The model has no token vectors, or is BGE-M3, whose vectors no store keeps for an
                embedder.
            InvalidInputError: An element is not a string.
            VectorStoreError: The store holds another model's vectors, or of documents that were read otherwise (in
                windows), or cannot be written.
            ScoringError: The model returned NaN or infinity.
            DeadlineExceededError: The time is over.
            EngineClosedError: ``close()`` was called.
        """
        texts, deadline = check_texts(documents, name="documents"), Deadline(deadline_s)
        kept = _kept(self._backend, store, deadline)
        if missing := kept.missing([text for text in texts if not is_blank(text)]):
            with started(self._backend, "embed") as call:
                _, call.usage = kept.add(missing, deadline)
        return kept.rows_of(texts)

    @checked_call(unchecked=("documents",))
    async def astored_vectors(
        self, documents: Sequence[str], store: TokenVectorStore, *, deadline_s: Seconds | None = None
    ) -> list[npt.NDArray[np.float32]]:
        """Return what :meth:`stored_vectors` returns, without blocking the event loop."""
        texts, deadline = check_texts(documents, name="documents"), Deadline(deadline_s)
        kept = await asyncio.to_thread(_kept, self._backend, store, deadline)
        # Not a wait but work: a digest of every text, and what others have added meanwhile.
        if missing := await asyncio.to_thread(kept.missing, [text for text in texts if not is_blank(text)]):
            with started(self._backend, "embed") as call:
                _, call.usage = await kept.aadd(missing, deadline)
        return await asyncio.to_thread(kept.rows_of, texts)

    @checked_call(unchecked=("pairs",))
    def score_pairs(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        weights: Sequence[float] = (1.0, 1.0, 1.0),
        deadline_s: Seconds | None = None,
    ) -> list[PairScores]:
        """Return how well each document fits its query by all three kinds of vectors, as BGE-M3's ``compute_score``.

        Args:
            pairs: (query, document).
            weights: Of dense, sparse and colbert in the weighted means (FlagEmbedding's default: all 1).
            deadline_s: Seconds for both sides; None takes the object's own deadline.

        Raises:
            InvalidInputError: An element is not a pair of strings, the weights cannot be a mean's, or as in
                :meth:`encode_queries`.
        """
        resolved = check_weights(weights)
        queries, documents = drive(self._backend, self._calls.encode_pairs(pairs, deadline_s=deadline_s))
        return score_pairs(queries, documents, resolved)

    @checked_call(unchecked=("pairs",))
    async def ascore_pairs(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        weights: Sequence[float] = (1.0, 1.0, 1.0),
        deadline_s: Seconds | None = None,
    ) -> list[PairScores]:
        """Return what :meth:`score_pairs` returns, without blocking the event loop."""
        resolved = check_weights(weights)
        steps = self._calls.encode_pairs(pairs, deadline_s=deadline_s)
        queries, documents = await adrive(self._backend, steps)
        # Not a wait but work: every token of a query with every token of its document.
        return await asyncio.to_thread(score_pairs, queries, documents, resolved)


def _kept(backend: Any, store: TokenVectorStore, deadline: Deadline) -> KeptVectors:
    if not isinstance(backend, LateEmbedder):
        msg = f"{backend.spec.id!r} keeps no token vectors in a store: open a ColBERT, such as colbert-ir/colbertv2.0"
        raise UnsupportedModelError(msg)
    return backend.kept(store, deadline)
