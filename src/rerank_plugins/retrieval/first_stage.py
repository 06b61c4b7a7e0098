"""The protocol of first stages: a query in, scored document ids out."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from rerank_plugins.engine import forking
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_positive, check_query

__all__ = [
    "AddingLock",
    "BatchStage",
    "FirstStage",
    "GrowingStage",
    "best_first",
    "check_new_ids",
    "check_search",
    "check_texts_by_id",
    "grown_stage",
    "search_many",
]


class AddingLock:
    """A lock for adding documents. A copy of its owner, or a forked process, gets a lock of its own."""

    def __init__(self) -> None:
        self.after_fork()
        forking.watch(self)

    def after_fork(self) -> None:
        """Make a lock that no thread holds."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[AddingLock], tuple[()]]:
        return AddingLock, ()


@runtime_checkable
class FirstStage(Protocol):
    """Finds documents in a whole corpus, one query at a time."""

    def search(self, query: str, *, top_k: int) -> dict[str, float]:
        """Return at most ``top_k`` document ids with their scores, best first."""
        ...

    async def asearch(self, query: str, *, top_k: int) -> dict[str, float]:
        """Return what ``search`` returns, without blocking the event loop."""
        ...


@runtime_checkable
class GrowingStage(FirstStage, Protocol):
    """A first stage that documents can be added to."""

    def with_texts(self, texts: Mapping[str, str]) -> FirstStage:
        """Return a stage that has these documents too. This one does not change, for searches that are running."""
        ...


@runtime_checkable
class BatchStage(FirstStage, Protocol):
    """A first stage that answers many queries faster than one by one."""

    def search_many(self, queries: Sequence[str], *, top_k: int) -> list[dict[str, float]]:
        """Return what ``search`` returns for each query."""
        ...


def search_many(stage: FirstStage, queries: Sequence[str], *, top_k: int) -> list[dict[str, float]]:
    """Return what a first stage finds for each of several queries."""
    if isinstance(stage, BatchStage):
        return stage.search_many(queries, top_k=top_k)
    return [stage.search(query, top_k=top_k) for query in queries]


def grown_stage(stage: FirstStage, texts: Mapping[str, str]) -> FirstStage:
    """Return a first stage that has these documents too, or raise InvalidInputError if none can be added."""
    if not isinstance(stage, GrowingStage):
        msg = (
            f"documents cannot be added to a {type(stage).__name__}, which has no with_texts; index all texts with "
            "TwoStageRetriever.from_documents"
        )
        raise InvalidInputError(msg)
    return stage.with_texts(texts)


def check_search(query: object, top_k: int) -> str:
    """Return the query, or raise InvalidInputError if it is blank or no string, or ``top_k`` is below 1."""
    check_positive("top_k", top_k)
    text = check_query(query)
    if not text.strip():
        msg = "the query is blank, so there is nothing to look for; ask something"
        raise InvalidInputError(msg)
    return text


def check_texts_by_id(texts: object) -> dict[str, str]:
    """Return document id to text as a dict, or raise InvalidInputError for anything else."""
    if not isinstance(texts, Mapping):
        msg = f"texts must map document ids to texts, got {type(texts).__name__}"
        raise InvalidInputError(msg)
    for key, text in texts.items():
        if not isinstance(key, str) or not isinstance(text, str):
            msg = f"texts[{key!r}] must be a string under a string, got {type(text).__name__}"
            raise InvalidInputError(msg)
    return dict(texts)


def check_new_ids(added: Collection[str], known: Collection[str]) -> None:
    """Raise InvalidInputError if something that is added has the id of something that is there."""
    there = [one for one in added if one in known]
    if there:
        msg = f"{len(there)} of the ids are there already, the first is {there[0]!r}; give each document its own id"
        raise InvalidInputError(msg)


def best_first(scores: npt.NDArray[np.float32], ids: list[str], top_k: int) -> dict[str, float]:
    """Return the ``top_k`` highest scores by document id, best first; ties keep the corpus' order."""
    if top_k < len(scores):
        # All documents that tie with the last one kept take part in the stable sort below.
        least = np.partition(scores, len(scores) - top_k)[len(scores) - top_k]
        chosen = np.flatnonzero(scores >= least)
    else:
        chosen = np.arange(len(scores))
    order = chosen[np.argsort(-scores[chosen], kind="stable")[:top_k]]
    return {ids[i]: float(scores[i]) for i in order}
