"""The part of the embedding facade that is about chunks of long documents, each with a vector in its context."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from rerank_plugins.calls.driving import adrive, drive
from rerank_plugins.calls.texts import TextCalls
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Seconds, Within
from rerank_plugins.embedding.chunk_checks import check_chunks, check_reads_in_context
from rerank_plugins.embedding.chunks import ChunkVectors
from rerank_plugins.inputs import check_texts
from rerank_plugins.types import WindowSpan

__all__ = ["ChunkMethods", "Overlap"]

Overlap = Annotated[int, Within(0)]


class ChunkMethods:
    """Methods of an embedder that reads a long document whole, and gives a vector to each of its chunks."""

    _backend: Any
    _calls: TextCalls

    @checked_call(unchecked=("documents", "chunks"))
    def encode_chunks(
        self,
        documents: Sequence[str],
        *,
        chunks: Sequence[Sequence[WindowSpan | tuple[int, int]]] | None = None,
        overlap: Overlap | None = None,
        deadline_s: Seconds | None = None,
    ) -> list[ChunkVectors]:
        """Return a vector for each sentence of each document, made in the context of the text around it.

        A document is read once, in windows as long as the model reads (``max_length``), whatever its length. The vector
        of a sentence is the mean of its own tokens' states (late chunking, arXiv 2409.04701), or the state of the
        landmark behind it where a model was trained with landmarks; then it is cut and normalised as all vectors of
        this embedder. It is taken from the window in which the sentence stands furthest from the edges
        (:mod:`rerank_plugins.embedding.chunk_windows`). Instruction and special tokens are in no mean. A chunk without
        any token has the neutral vector.

        Args:
            documents: Texts of any length.
            chunks: For each document the characters of its chunks, in any order; they may overlap or leave text out.
                None splits into sentences (:func:`~rerank_plugins.text.sentences.sentence_spans`).
            overlap: Tokens that neighbouring windows share at least, half a window at most; None shares a quarter.
            deadline_s: Seconds after which to give up; None takes the object's own deadline.

        Returns:
            For each document its chunks and their vectors; see :class:`~rerank_plugins.embedding.chunks.ChunkVectors`.

        Raises:
            InvalidInputError: An element is not a string, a span lies outside its document, or the model's vectors are
                not means of token states in context; or the model runs in ONNX Runtime, which gives no such states.
            ScoringError: The model returned NaN or infinity.
            DeadlineExceededError: The time is over.
            OverloadedError: More work waits than the engine options allow.
            EngineClosedError: ``close()`` was called.
        """
        steps = self._calls.chunks(documents, chunks, overlap=overlap, deadline_s=deadline_s)
        return drive(self._backend, steps)

    @checked_call(unchecked=("documents", "chunks"))
    async def aencode_chunks(
        self,
        documents: Sequence[str],
        *,
        chunks: Sequence[Sequence[WindowSpan | tuple[int, int]]] | None = None,
        overlap: Overlap | None = None,
        deadline_s: Seconds | None = None,
    ) -> list[ChunkVectors]:
        """Return what :meth:`encode_chunks` returns, without blocking the event loop."""
        check_reads_in_context(self._backend.spec)
        texts = check_texts(documents, name="documents")
        # Not a wait but work: every sentence of long texts.
        spans = await asyncio.to_thread(check_chunks, texts, chunks)
        steps = self._calls.chunks(texts, spans, overlap=overlap, deadline_s=deadline_s)
        return await adrive(self._backend, steps)
