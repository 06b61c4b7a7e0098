"""Whether a model's chunks can be read in their context, and whether what a caller passes can be chunks."""

from __future__ import annotations

from collections.abc import Sequence

from rerank_plugins.catalog.scorer_traits import traits_of
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_iterable
from rerank_plugins.text.sentences import sentence_spans
from rerank_plugins.types import WindowSpan

__all__ = ["check_chunks", "check_reads_in_context", "reads_in_context"]

_PAIR = 2


def reads_in_context(spec: ModelSpec) -> bool:
    """Return whether ``Embedder.encode_chunks`` works with a model."""
    return traits_of(spec.scorer).is_encoder and (spec.pooling == "mean" or bool(spec.landmark))


def check_reads_in_context(spec: ModelSpec) -> None:
    """Raise InvalidInputError if a model's chunks cannot be read in their context."""
    if reads_in_context(spec):
        return
    way_out = (
        "embed the chunks with embed_documents, or take a model that pools by the mean (e5, gte, jina, nomic) or was "
        "trained with landmarks"
    )
    if not traits_of(spec.scorer).is_encoder:
        msg = f"the tokens of {spec.id!r} cannot be read in their context here ({spec.scorer}): {way_out}"
        raise InvalidInputError(msg)
    msg = (
        f"{spec.id!r} pools by {spec.pooling!r}, so the mean of some tokens' states is no vector that it was trained "
        f"for: {way_out}"
    )
    raise InvalidInputError(msg)


def check_chunks(
    documents: Sequence[str], chunks: object, *, ids: Sequence[str] | None = None
) -> list[tuple[WindowSpan, ...]]:
    """Return the chunks of each document, its sentences if ``chunks`` is None.

    Args:
        documents: Texts.
        chunks: The spans of each.
        ids: What messages call the documents; None counts them.

    Raises:
        InvalidInputError: They are no spans, lie outside their document, or are those of more or fewer documents.
    """
    if chunks is None:
        return [tuple(sentence_spans(text)) for text in documents]
    listed = list(check_iterable(chunks, name="chunks"))
    if len(listed) != len(documents):
        msg = f"chunks must have the spans of each document: got {len(listed)} for {len(documents)} documents"
        raise InvalidInputError(msg)
    names = [f"chunks[{one!r}]" for one in (range(len(documents)) if ids is None else ids)]
    return [
        tuple(_span(span, text, name=f"{name}[{place}]") for place, span in enumerate(check_iterable(of, name=name)))
        for name, of, text in zip(names, listed, documents, strict=True)
    ]


def _span(span: object, text: str, *, name: str) -> WindowSpan:
    ends: list[int] = []
    if isinstance(span, WindowSpan):
        ends = [span.start, span.end]
    elif isinstance(span, Sequence) and not isinstance(span, (str, bytes)):
        ends = [one for one in span if isinstance(one, int) and not isinstance(one, bool)]
        ends = ends if len(ends) == len(span) else []
    if len(ends) != _PAIR:
        msg = f"{name} must be (start, end) in characters, got {span!r}"
        raise InvalidInputError(msg)
    start, end = ends
    if not 0 <= start <= end <= len(text):
        msg = f"{name} is ({start}, {end}), and its document has the characters 0 to {len(text)}"
        raise InvalidInputError(msg)
    return WindowSpan(start, end)
