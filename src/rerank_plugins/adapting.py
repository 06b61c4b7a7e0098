"""What the adapters of every framework share: settings for a block of code, early checks, results that come too late.

An adapter object is shared by many callers, so a caller who wants other settings must not change it. Each caller
works with a copy that has them; :func:`using` lets the copy stand in where only the original can be reached, because
a framework's engine holds it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, TypeVar

from rerank_plugins.catalog.layers import settle_layers
from rerank_plugins.errors import DeadlineExceededError, InvalidInputError, OverloadedError
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import LayerOptions

__all__ = [
    "FALLBACK_KEY",
    "NOT_IN_TIME",
    "FallbackReason",
    "OnDeadline",
    "check_one_layer",
    "check_scorer",
    "fall_back",
    "stand_in",
    "using",
]

logger = logging.getLogger(__name__)

OnDeadline = Literal["retrieval_order", "raise"]
"""What becomes of a call that is not in time, or that an overloaded model did not take."""

FallbackReason = Literal["deadline", "overloaded"]

FALLBACK_KEY = "rerank_fallback"
"""Metadata key of results that were not reranked; its value is the reason."""

NOT_IN_TIME = (DeadlineExceededError, OverloadedError)
"""The errors after which a retrieval order is better than no answer."""

_Adapter = TypeVar("_Adapter")

_STAND_INS: ContextVar[tuple[tuple[object, object], ...]] = ContextVar("rerank_plugins_stand_ins", default=())


@contextmanager
def using(original: _Adapter, copy: _Adapter) -> Iterator[_Adapter]:
    """Let ``copy`` stand in for ``original`` in the block, for this thread or task and those it starts.

    Blocks nest; the innermost one counts. Other threads and tasks are not touched: what counts is a context variable,
    which asyncio's tasks and ``asyncio.to_thread`` take along and a plain ``threading.Thread`` does not.
    """
    token = _STAND_INS.set(((original, copy), *_STAND_INS.get()))
    try:
        yield copy
    finally:
        _STAND_INS.reset(token)


def stand_in(original: _Adapter) -> _Adapter:
    """Return the object that stands in for ``original`` where this is called, or ``original`` itself."""
    for one, copy in _STAND_INS.get():
        if one is original and isinstance(copy, type(original)):
            return copy
    return original


def check_one_layer(reranker: Reranker, layers: LayerOptions | None) -> None:
    """Check what an adapter will ask of a model, so that a mistake is told when it is made and not at the first query.

    Raises:
        InvalidInputError: The model has no such layers, or more than one is asked for: a ranking needs one score.
    """
    settled = settle_layers(reranker.spec.layers, asked=layers, usual=reranker.layers)
    cutoff = () if settled is None else settled.cutoff_layers or ()
    if len(cutoff) > 1:
        msg = (
            f"a ranking has one score a document, and cutoff_layers={cutoff} asks for {len(cutoff)}; give one layer. "
            "The core's Reranker.score_layers() compares several"
        )
        raise InvalidInputError(msg)


def check_scorer(reranker: Reranker, *, owner: str, scorers: Collection[str], instead: str) -> None:
    """Check that a model is of the kind that a class of an adapter is for.

    Args:
        reranker: The opened model.
        owner: Name of the class, for the message.
        scorers: Scorers that run such models; empty accepts all.
        instead: Name of the class that takes every model, for the message.

    Raises:
        InvalidInputError: Another scorer runs it.
    """
    if scorers and reranker.spec.scorer not in scorers:
        msg = (
            f"{owner} is for models that run on the scorer {' or '.join(sorted(scorers))}; {reranker.model!r} runs on "
            f"{reranker.spec.scorer!r}. Use {instead}(model={reranker.model!r}), which takes every model"
        )
        raise InvalidInputError(msg)


def fall_back(
    error: DeadlineExceededError | OverloadedError, *, on_deadline: OnDeadline, n_documents: int
) -> FallbackReason:
    """Return why documents keep their retrieval order, and log it; or raise ``error`` where that is asked for.

    Args:
        error: What the core raised.
        on_deadline: What the adapter was told to do.
        n_documents: For the log, which has no text of the user's.
    """
    if on_deadline == "raise":
        raise error
    reason: FallbackReason = "deadline" if isinstance(error, DeadlineExceededError) else "overloaded"
    logger.warning("%d documents were not reranked and keep their retrieval order (%s): %s", n_documents, reason, error)
    return reason
