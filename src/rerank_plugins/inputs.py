"""Checks of what callers pass, with errors that say what, what it got, and the way out."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from rerank_plugins.checks.kinds import shown
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import Document, LongDocuments, LongDocumentStrategy

__all__ = [
    "check_deadline",
    "check_documents",
    "check_iterable",
    "check_long_documents",
    "check_pairs",
    "check_positive",
    "check_prompt",
    "check_query",
    "check_text_pairs",
    "check_texts",
    "plain_text",
]

_PAIR = 2
_LARGEST = sys.float_info.max


def check_query(query: object) -> str:
    """Return the query, or raise InvalidInputError if it is not a string."""
    if not isinstance(query, str):
        msg = f"query must be a string, got {type(query).__name__}"
        raise InvalidInputError(msg)
    return plain_text(query)


def plain_text(text: str) -> str:
    """Return a text as a plain string, whatever its class makes of ``str()`` and ``+``.

    ``str()`` of an enumeration's member is its name, and markup escapes what is put in front of it.
    """
    return text if type(text) is str else str.__str__(text)


def check_documents(documents: object) -> list[Document]:
    """Return the documents as a list, plain texts without an id, or raise InvalidInputError for anything else."""
    checked = []
    for index, one in enumerate(_listed(documents, name="documents")):
        if one is not None and not isinstance(one, (str, Document)):
            msg = f"documents[{index}] must be a string, a Document or None, got {type(one).__name__}"
            raise InvalidInputError(msg)
        checked.append(one if isinstance(one, Document) else _plain(one))
    return checked


def _plain(text: str | None) -> Document:
    # Documents come by the thousand, and these fields were checked.
    made = object.__new__(Document)
    for name, value in (("text", text), ("id", None), ("metadata", {})):
        object.__setattr__(made, name, value)
    return made


def check_pairs(pairs: object, *, first: int = 0) -> list[tuple[str, str | None]]:
    """Return pairs of (query, document) as a list, or raise InvalidInputError for anything else.

    Args:
        pairs: What the caller passed.
        first: Number of the first pair, for messages.
    """
    checked = []
    listed: list[Any] = _listed(pairs, name="pairs")
    for index, pair in enumerate(listed, start=first):
        # A row of a NumPy array is no Sequence.
        is_row = getattr(pair, "shape", None) == (_PAIR,)
        if isinstance(pair, str) or not (is_row or (isinstance(pair, Sequence) and len(pair) == _PAIR)):
            msg = f"pairs[{index}] must be (query, document), got {type(pair).__name__}"
            raise InvalidInputError(msg)
        query, document = pair
        if not isinstance(query, str) or not (document is None or isinstance(document, str)):
            kinds = f"({type(query).__name__}, {type(document).__name__})"
            msg = f"pairs[{index}] must be (string, string or None), got {kinds}"
            raise InvalidInputError(msg)
        checked.append((plain_text(query), None if document is None else plain_text(document)))
    return checked


def check_text_pairs(pairs: object) -> list[tuple[str, str]]:
    """Return pairs of (query, document) as a list, or raise InvalidInputError for anything else, None included."""
    checked = []
    for index, (query, document) in enumerate(check_pairs(pairs)):
        if document is None:
            msg = f"pairs[{index}] must be (string, string), got (str, NoneType)"
            raise InvalidInputError(msg)
        checked.append((query, document))
    return checked


def check_texts(texts: object, *, name: str) -> list[str]:
    """Return texts as a list, or raise InvalidInputError for anything but strings."""
    checked = []
    for index, text in enumerate(_listed(texts, name=name)):
        if not isinstance(text, str):
            msg = f"{name}[{index}] must be a string, got {type(text).__name__}"
            raise InvalidInputError(msg)
        checked.append(plain_text(text))
    return checked


def check_positive(name: str, value: int | None) -> None:
    """Raise InvalidInputError if an option is neither None nor a positive integer."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        msg = f"{name} must be a positive integer or None, got {value!r}"
        raise InvalidInputError(msg)


def check_deadline(deadline_s: object) -> float | None:
    """Return the seconds, or raise InvalidInputError for anything but None and a positive number."""
    if deadline_s is None:
        return None
    if isinstance(deadline_s, bool) or not isinstance(deadline_s, (int, float)) or not 0 < deadline_s <= _LARGEST:
        msg = f"deadline_s must be a positive number of seconds or None, got {deadline_s!r}"
        raise InvalidInputError(msg)
    return float(deadline_s)


def check_long_documents(setting: LongDocuments | LongDocumentStrategy) -> LongDocuments:
    """Return the setting in full."""
    return setting if isinstance(setting, LongDocuments) else LongDocuments(strategy=setting)


def check_prompt(prompt: object, *, default: str, allowed: bool) -> str:
    """Return the prompt to use, or raise InvalidInputError if the model takes none or it is no text.

    Args:
        prompt: The caller's; None takes the model's own.
        default: The model's own; empty for none.
        allowed: Whether the model takes one.
    """
    if prompt is None:
        return default
    if not isinstance(prompt, str) or not prompt.strip():
        msg = f"prompt must be a non-empty string or None, got {shown(prompt)}"
        raise InvalidInputError(msg)
    if not allowed:
        msg = "this model takes no prompt: only models that read an instruction do; leave prompt out"
        raise InvalidInputError(msg)
    return prompt


def check_iterable(items: object, *, name: str) -> Iterable[Any]:
    """Return what yields items one by one, or raise InvalidInputError for anything else."""
    # A mapping or a set iterates too, and would lose the texts or their order.
    # NumPy's arrays without dimensions only look iterable.
    is_single = isinstance(items, (str, bytes, Mapping, Set, type)) or getattr(items, "shape", None) == ()
    if is_single or not isinstance(items, Iterable):
        msg = f"{name} must be a list, got {type(items).__name__}. Put a single text into a list."
        raise InvalidInputError(msg)
    if hasattr(items, "columns"):
        # A table of pandas or Polars yields the names of its columns, or whole ones.
        msg = f"{name} must be a list, got a table ({type(items).__name__}). Pass its texts, such as table['text']."
        raise InvalidInputError(msg)
    return items


def _listed(items: object, *, name: str) -> list[object]:
    return list(check_iterable(items, name=name))
