"""Checks of what callers pass, with errors that say what, what it got, and the way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rerank_plugins.errors import InvalidInputError

__all__ = ["check_documents", "check_pairs", "check_query", "check_texts", "positive_or_none"]

_PAIR = 2


def check_query(query: object) -> str:
    """Return the query, or raise InvalidInputError if it is not a string."""
    if not isinstance(query, str):
        msg = f"query must be a string, got {type(query).__name__}"
        raise InvalidInputError(msg)
    return query


def check_documents(documents: object) -> list[str | None]:
    """Return the documents as a list, or raise InvalidInputError for anything but strings and None."""
    items = _listed(documents, name="documents")
    for index, document in enumerate(items):
        if document is not None and not isinstance(document, str):
            msg = f"documents[{index}] must be a string or None, got {type(document).__name__}"
            raise InvalidInputError(msg)
    return items  # type: ignore[return-value]


def check_pairs(pairs: object) -> list[tuple[str, str | None]]:
    """Return pairs of (query, document) as a list, or raise InvalidInputError for anything else."""
    checked = []
    for index, pair in enumerate(_listed(pairs, name="pairs")):
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != _PAIR:
            msg = f"pairs[{index}] must be (query, document), got {type(pair).__name__}"
            raise InvalidInputError(msg)
        query, document = pair
        if not isinstance(query, str) or not (document is None or isinstance(document, str)):
            kinds = f"({type(query).__name__}, {type(document).__name__})"
            msg = f"pairs[{index}] must be (string, string or None), got {kinds}"
            raise InvalidInputError(msg)
        checked.append((query, document))
    return checked


def check_texts(texts: object, *, name: str) -> list[str]:
    """Return texts as a list, or raise InvalidInputError for anything but strings."""
    items = _listed(texts, name=name)
    for index, text in enumerate(items):
        if not isinstance(text, str):
            msg = f"{name}[{index}] must be a string, got {type(text).__name__}"
            raise InvalidInputError(msg)
    return items  # type: ignore[return-value]


def positive_or_none(**options: int | None) -> None:
    """Raise InvalidInputError for an option that is neither None nor a positive integer."""
    for name, value in options.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            msg = f"{name} must be a positive integer or None, got {value!r}"
            raise InvalidInputError(msg)


def _listed(items: object, *, name: str) -> list[object]:
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        msg = f"{name} must be a list, got {type(items).__name__}. Put a single text into a list."
        raise InvalidInputError(msg)
    return list(items)
