"""Copies of documents that carry their scores; the documents that came in are never touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.documents import Document

from rerank_plugins import RankedDocument
from rerank_plugins.adapters.checks import check_list
from rerank_plugins.adapters.containers import own_containers
from rerank_plugins.adapters.fallback import FallbackReason
from rerank_plugins.adapters.metadata import DETAIL_KEYS, FALLBACK_KEY, RANK_KEY, RETRIEVAL_SCORE_KEY, details_of
from rerank_plugins.types import CallUsage

__all__ = ["KEEP_SCORES", "SCORE_KEY", "marked_copy", "page_contents", "plain_copy", "scored_copy", "with_metadata"]

SCORE_KEY = "relevance_score"
"""LangChain's own name for the score of a document."""

KEEP_SCORES = (
    "Write scores and ranks into the metadata of results. False leaves them out, so that copies of a document which "
    "several queries found are equal: MultiQueryRetriever takes them for one then."
)
"""What the option of that name means, wherever it is."""

_OLD_PROBABILITY_KEY = "relevance_probability"  # Written beside the key of both frameworks for one more release.


def page_contents(documents: Sequence[Document]) -> list[str]:
    """Return the texts, or raise InvalidInputError for anything but a sequence of documents."""
    expected = "a Document, so wrap a text: Document(...)"
    check_list("documents", documents, Document, plural="Document", expected=expected)
    return [document.page_content for document in documents]


def scored_copy(
    document: Document, ranked: RankedDocument, *, score: float, usage: CallUsage | None = None
) -> Document:
    """Return a copy of ``document`` with the scores in its metadata.

    The class, id, text and all other fields are kept. Dictionaries, lists and sets are copied at any
    depth; what they hold (arrays, clients, locks) is shared, so that it need not be copyable. A
    ``relevance_score`` that the document was retrieved with moves to ``retrieval_score``, unless that is there.
    """
    fields = _own_fields(document)
    metadata = fields["metadata"]
    # What an earlier reranking gave is no score of the retriever.
    if SCORE_KEY in metadata and RANK_KEY not in metadata:
        metadata.setdefault(RETRIEVAL_SCORE_KEY, metadata[SCORE_KEY])
    for stale in (*DETAIL_KEYS, _OLD_PROBABILITY_KEY):
        metadata.pop(stale, None)
    metadata |= {SCORE_KEY: score, **details_of(ranked, usage), _OLD_PROBABILITY_KEY: ranked.probability}
    return document.model_copy(update=fields)


def plain_copy(document: Document) -> Document:
    """Return a copy of ``document`` without scores of its own; what an earlier reranking wrote of itself goes."""
    fields = _own_fields(document)
    # A score without a rank beside it is the retriever's own.
    scores = (SCORE_KEY,) if RANK_KEY in fields["metadata"] else ()
    for stale in (*scores, *DETAIL_KEYS, _OLD_PROBABILITY_KEY):
        fields["metadata"].pop(stale, None)
    return document.model_copy(update=fields)


def marked_copy(document: Document, reason: FallbackReason) -> Document:
    """Return a copy of a document that was not reranked: all that it came with is kept, and the reason added."""
    fields = _own_fields(document)
    fields["metadata"][FALLBACK_KEY] = reason
    return document.model_copy(update=fields)


def with_metadata(document: Document, added: Mapping[str, Any]) -> Document:
    """Return a copy of a document with more metadata; what is nested in it is copied too, as by :func:`scored_copy`."""
    return document.model_copy(update={"metadata": {**own_containers(document.metadata), **added}})


def _own_fields(document: Document) -> dict[str, Any]:
    return {name: own_containers(value) for name, value in document.__dict__.items()}
