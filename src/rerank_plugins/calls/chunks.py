"""The part of the embedding facade that is about chunks of long documents, each with a vector in its context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from rerank_plugins.backends.local_embedder import EncodedChunks, LocalEmbedder
from rerank_plugins.backends.vectors import EmbedOptions
from rerank_plugins.calls.driving import Steps, adrive, drive
from rerank_plugins.calls.texts import TextCalls, checked_dimensions
from rerank_plugins.catalog.scorer_traits import traits_of
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Seconds, Within
from rerank_plugins.embedding.chunks import ChunkedText, Chunking, ChunkVectors
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_iterable, check_texts
from rerank_plugins.text.sentences import sentence_spans
from rerank_plugins.types import WindowSpan

__all__ = ["ChunkMethods", "ChunkStep", "Overlap", "check_chunks", "reads_chunks_in_context"]

Overlap = Annotated[int, Within(0)]
_PAIR = 2


@dataclass(frozen=True, slots=True, eq=False)
class ChunkStep:
    """Documents whose chunks an embedder is to read in their context.

    Attributes:
        texts: The documents and their chunks, checked.
        options: What is asked of the backend.
        chunking: How they are read.
    """

    operation = "embed"
    texts: Sequence[ChunkedText]
    options: EmbedOptions
    chunking: Chunking

    def run(self, backend: LocalEmbedder) -> EncodedChunks:
        """Read them in this thread."""
        return backend.encode_chunks(self.texts, self.options, self.chunking)

    async def arun(self, backend: LocalEmbedder) -> EncodedChunks:
        """Read them without blocking the event loop."""
        return await backend.aencode_chunks(self.texts, self.options, self.chunking)


class ChunkMethods:
    """Methods of an embedder that reads a long document whole, and gives a vector to each of its chunks."""

    _backend: Any
    _calls: TextCalls

    @checked_call(own=("documents", "chunks"))
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
                not means of token states in context.
            ScoringError: The model returned NaN or infinity.
            DeadlineExceededError: The time is over.
            OverloadedError: More work waits than the engine options allow.
            EngineClosedError: ``close()`` was called.
        """
        return drive(self._backend, _steps(self._calls, documents, chunks, overlap, deadline_s))

    @checked_call(own=("documents", "chunks"))
    async def aencode_chunks(
        self,
        documents: Sequence[str],
        *,
        chunks: Sequence[Sequence[WindowSpan | tuple[int, int]]] | None = None,
        overlap: Overlap | None = None,
        deadline_s: Seconds | None = None,
    ) -> list[ChunkVectors]:
        """Return what :meth:`encode_chunks` returns, without blocking the event loop."""
        return await adrive(self._backend, _steps(self._calls, documents, chunks, overlap, deadline_s))


def reads_chunks_in_context(spec: ModelSpec) -> bool:
    """Return whether :meth:`ChunkMethods.encode_chunks` works with a model."""
    return traits_of(spec.scorer).is_encoder and (spec.pooling == "mean" or bool(spec.landmark))


def check_chunks(documents: Sequence[str], chunks: object) -> list[tuple[WindowSpan, ...]]:
    """Return the chunks of each document, its sentences if ``chunks`` is None.

    Raises:
        InvalidInputError: They are no spans, lie outside their document, or are those of more or fewer documents.
    """
    if chunks is None:
        return [tuple(sentence_spans(text)) for text in documents]
    listed = list(check_iterable(chunks, name="chunks"))
    if len(listed) != len(documents):
        msg = f"chunks must have the spans of each document: got {len(listed)} for {len(documents)} documents"
        raise InvalidInputError(msg)
    return [
        tuple(_span(span, text, name=f"chunks[{number}][{place}]") for place, span in enumerate(_spans(of, number)))
        for number, (of, text) in enumerate(zip(listed, documents, strict=True))
    ]


def _spans(of: object, number: int) -> list[object]:
    return list(check_iterable(of, name=f"chunks[{number}]"))


def _span(span: object, text: str, *, name: str) -> WindowSpan:
    ends = (span.start, span.end) if isinstance(span, WindowSpan) else span
    is_pair = isinstance(ends, Sequence) and not isinstance(ends, (str, bytes)) and len(ends) == _PAIR
    if not is_pair or any(isinstance(one, bool) or not isinstance(one, int) for one in ends):  # type: ignore[attr-defined]
        msg = f"{name} must be (start, end) in characters, got {span!r}"
        raise InvalidInputError(msg)
    start, end = ends  # type: ignore[misc]
    if not 0 <= start <= end <= len(text):
        msg = f"{name} is ({start}, {end}), and its document has the characters 0 to {len(text)}"
        raise InvalidInputError(msg)
    return WindowSpan(start, end)


def _steps(
    calls: TextCalls, documents: object, chunks: object, overlap: int | None, deadline_s: float | None
) -> Steps[list[ChunkVectors]]:
    spec = calls.spec
    if not reads_chunks_in_context(spec):
        raise InvalidInputError(_refusal(spec))
    texts = check_texts(documents, name="documents")
    chunked = [ChunkedText(text, spans) for text, spans in zip(texts, check_chunks(texts, chunks), strict=True)]
    dimensions = calls.dimensions
    checked_dimensions(dimensions, spec)
    chunking = Chunking(
        overlap=overlap, dimensions=dimensions or spec.dimensions or 0, kept=dimensions, normalize=calls.normalize
    )
    found: EncodedChunks = yield ChunkStep(chunked, calls.options(deadline_s, is_query=False), chunking)
    return found.vectors


def _refusal(spec: ModelSpec) -> str:
    way_out = (
        "embed the chunks with embed_documents, or take a model that pools by the mean (e5, gte, jina, nomic) or was "
        "trained with landmarks"
    )
    if not traits_of(spec.scorer).is_encoder:
        return f"the tokens of {spec.id!r} cannot be read in their context here ({spec.scorer}): {way_out}"
    return (
        f"{spec.id!r} pools by {spec.pooling!r}, so the mean of some tokens' states is no vector that it was trained "
        f"for: {way_out}"
    )
