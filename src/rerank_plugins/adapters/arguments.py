"""Arguments of the retrievers of every framework: names, defaults, and what is refused with the way out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar
from uuid import uuid4

from rerank_plugins.adapters.values import as_number
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_positive

__all__ = [
    "DEFAULT_RERANKER",
    "DEFAULT_TOP_N",
    "OWN_ARGUMENTS",
    "call_limit",
    "check_text_query",
    "own_stage",
    "settled_ids",
]

DEFAULT_RERANKER = "BAAI/bge-reranker-v2-m3"


class _Default(int):
    """A number that is told from an equal one that a caller passed."""


DEFAULT_TOP_N = _Default(5)
"""The ``top_n`` of a retriever that is told none; a reranker that is passed, with options of its own, has its own."""

OWN_ARGUMENTS = (
    "documents",
    "embedder",
    "first_stage",
    "reranker",
    "threshold",
    "threshold_unit",
    "top_k",
    "top_n",
)
"""Arguments that are checked where they are used; the core checks the others, and refuses other names."""

_Stage = TypeVar("_Stage")


def own_stage(stage: object, kind: type[_Stage], *, otherwise: str) -> _Stage:
    """Return a first stage that an adapter made, or raise InvalidInputError with what to do ``otherwise``."""
    if isinstance(stage, kind):
        return stage
    msg = f"the first stage is a {type(stage).__name__}, made elsewhere: {otherwise}"
    raise InvalidInputError(msg)


def check_text_query(query: object) -> None:
    """Raise InvalidInputError unless a query is a text that is not blank."""
    if not isinstance(query, str) or not query.strip():
        got = "a blank one" if isinstance(query, str) else type(query).__name__
        msg = f"the query must be a text that is not blank, got {got}"
        raise InvalidInputError(msg)


def call_limit(owner: object, name: str, options: Mapping[str, Any]) -> int | None:
    """Return how many documents a call of a retriever asks for; None leaves it to the retriever.

    Args:
        owner: The retriever that is called.
        name: What the option is called there; ``k`` is its name in a framework's vector store retrievers.
        options: Of the call. ``verbose`` is the framework's own.

    Raises:
        InvalidInputError: There are others, or no number of documents can be that.
    """
    unknown = next((one for one in options if one not in (name, "k", "verbose")), None)
    if unknown is not None:
        msg = (
            f"a call of {type(owner).__name__} takes {name} or k beside the query and its config, not {unknown!r}; "
            "filters and other settings of a search are set where the retriever is made"
        )
        raise InvalidInputError(msg)
    value, k = options.get(name), options.get("k")
    if value is not None and k is not None and value != k:
        msg = f"{name}={value!r} and k={k!r} mean the same; give one of them"
        raise InvalidInputError(msg)
    limit: int | None = as_number(k if value is None else value)
    check_positive("k" if value is None else name, limit)
    return limit


def settled_ids(ids: object, *, own: Sequence[str | None]) -> list[str]:
    """Return an id for each document: those passed, else their own, else new ones.

    Args:
        ids: What the caller gave; None takes the documents' own.
        own: Of each document; None has none.

    Raises:
        InvalidInputError: ``ids`` is no list of one string for each document, or two are the same.
    """
    if ids is None:
        assigned = [one or str(uuid4()) for one in own]
    elif isinstance(ids, (list, tuple)) and all(isinstance(one, str) and one for one in ids):
        assigned = list(ids)
    else:
        msg = "ids must be a list of strings that are not empty, one for each document, or None"
        raise InvalidInputError(msg)
    if len(assigned) != len(own):
        msg = f"there are {len(assigned)} ids for {len(own)} documents; give one for each, or none"
        raise InvalidInputError(msg)
    often, times = max(Counter(assigned).items(), key=itemgetter(1), default=("", 0))
    if times > 1:
        msg = f"{times} of the documents have the id {often!r}; give each document its own id"
        raise InvalidInputError(msg)
    return assigned
