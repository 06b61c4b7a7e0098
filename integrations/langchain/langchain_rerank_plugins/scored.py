"""Copies of documents that carry their scores; the documents that came in are never touched."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from langchain_core.documents import Document

from rerank_plugins import RankedDocument
from rerank_plugins.adapting import FALLBACK_KEY, FallbackReason
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import ScoreUnit

__all__ = ["marked_copy", "page_contents", "scored_copy"]

_OWN_KEYS = (
    "relevance_score",
    "relevance_probability",
    "rerank_rank",
    "rerank_window",
    "rerank_truncated",
    FALLBACK_KEY,
)


def page_contents(documents: Sequence[Document]) -> list[str]:
    """Return the texts, or raise InvalidInputError for anything but a sequence of documents."""
    if isinstance(documents, (str, bytes)) or not isinstance(documents, Sequence):
        msg = f"documents must be a list of Document, got {type(documents).__name__}. Put a single one into a list."
        raise InvalidInputError(msg)
    for index, document in enumerate(documents):
        if not isinstance(document, Document):
            msg = f"documents[{index}] must be a Document, got {type(document).__name__}; wrap text in Document(...)"
            raise InvalidInputError(msg)
    return [document.page_content for document in documents]


def scored_copy(document: Document, ranked: RankedDocument, *, unit: ScoreUnit) -> Document:
    """Return a copy of ``document`` with the scores in its metadata.

    The class, id, text and all other fields are kept. Dictionaries, lists and sets are copied at any
    depth; what they hold (arrays, clients, locks) is shared, so that it need not be copyable. A
    ``relevance_score`` that came with the document moves to ``retrieval_score``, unless that is there.
    """
    fields = _own_fields(document)
    fields["metadata"] = _with_scores(fields["metadata"], ranked, unit=unit)
    return document.model_copy(update=fields)


def marked_copy(document: Document, reason: FallbackReason) -> Document:
    """Return a copy of a document that was not reranked: all that it came with is kept, and the reason added."""
    fields = _own_fields(document)
    fields["metadata"][FALLBACK_KEY] = reason
    return document.model_copy(update=fields)


def _own_fields(document: Document) -> dict[str, Any]:
    return {name: _own_containers(value, {}) for name, value in document.__dict__.items()}


def _with_scores(metadata: dict[Any, Any], ranked: RankedDocument, *, unit: ScoreUnit) -> dict[Any, Any]:
    if "relevance_score" in metadata:
        metadata.setdefault("retrieval_score", metadata["relevance_score"])
    for stale in _OWN_KEYS:
        metadata.pop(stale, None)
    metadata["relevance_score"] = ranked.score if unit == "raw" else ranked.probability
    metadata["relevance_probability"] = ranked.probability
    metadata["rerank_rank"] = ranked.rank
    if ranked.window is not None:
        metadata["rerank_window"] = [ranked.window.start, ranked.window.end]
    if ranked.truncated:
        metadata["rerank_truncated"] = True
    return metadata


def _own_containers(value: Any, seen: dict[int, Any]) -> Any:
    """Return ``value`` with its containers copied and its leaves shared; cycles stay cycles."""
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, dict):
        copied = seen[id(value)] = copy.copy(value)
        for key, item in value.items():
            copied[key] = _own_containers(item, seen)
        return copied
    if isinstance(value, list):
        items = seen[id(value)] = copy.copy(value)
        items[:] = [_own_containers(item, seen) for item in value]
        return items
    if type(value) is tuple:
        return tuple(_own_containers(item, seen) for item in value)
    return set(value) if type(value) is set else value
