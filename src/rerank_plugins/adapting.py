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
from pathlib import Path
from typing import Literal, TypeVar

from rerank_plugins.catalog import names
from rerank_plugins.catalog.layers import settle_layers
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.catalog.table import find_by_id
from rerank_plugins.described import as_number, as_real
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import DeadlineExceededError, InvalidInputError, OverloadedError
from rerank_plugins.inputs import check_positive
from rerank_plugins.ranking.order import check_threshold
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import LayerOptions, ScoreUnit

__all__ = [
    "FALLBACK_KEY",
    "NOT_IN_TIME",
    "FallbackReason",
    "OnDeadline",
    "check_kind",
    "check_model",
    "checked_count",
    "checked_limits",
    "fall_back",
    "is_same",
    "known_before_loading",
    "same_model",
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


def check_kind(name: str, value: object, kinds: type | tuple[type, ...], *, told: str) -> None:
    """Raise InvalidInputError unless a value is of one of some kinds.

    Args:
        name: The argument's name.
        value: What was passed.
        kinds: What it may be.
        told: The same in words, with the way out where there is one.
    """
    if not isinstance(value, kinds):
        msg = f"{name} must be {told}; got {type(value).__name__}"
        raise InvalidInputError(msg)


def checked_count(name: str, value: object) -> int:
    """Return a positive integer, or the text of one as it, or raise InvalidInputError for anything else, None too."""
    number = as_number(value)
    if number is None:
        msg = f"{name} must be a positive integer, got None"
        raise InvalidInputError(msg)
    check_positive(name, number)
    return int(number)


def checked_limits(*, top_n: object, threshold: object, threshold_unit: ScoreUnit) -> tuple[int | None, float | None]:
    """Return ``top_n`` and ``threshold`` as numbers or None, or raise InvalidInputError if one cannot work."""
    try:
        number = as_real(threshold)
    except InvalidInputError as error:
        msg = f"threshold {error}"
        raise InvalidInputError(msg) from error
    check_kind("threshold_unit", threshold_unit, str, told="'raw' or 'probability'")
    check_threshold(number, unit=threshold_unit)
    return None if top_n is None else checked_count("top_n", top_n), number


def is_same(one: object, other: object) -> bool:
    """Return whether two values of an option are the same; anything may be passed, arrays too."""
    return one is other or (type(one) is type(other) and bool(one == other))


def same_model(one: Reranker | Embedder, other: Reranker | Embedder) -> bool:
    """Return whether two core objects hold the same weights in memory."""
    if one is other:
        return True
    first, second = one._lease, other._lease
    return not first.is_closed and not second.is_closed and first.value is second.value


def known_before_loading(model: str | Path, *, family: str | None) -> ModelSpec | None:
    """Return what is known about a model without fetching or loading it; None for a hub id that is not listed.

    Raises:
        ModelError: It is a folder that cannot be used, or an embedder.
    """
    listed = find_by_id(str(model), kind="reranker")
    if listed is None and names.existing_folder(model) is not None:
        return resolve(model, kind="reranker", family=family).spec
    if listed is None:
        names.check_kind(model, kind="reranker")
    return listed


def check_model(
    spec: ModelSpec,
    *,
    owner: str,
    scorers: Collection[str],
    instead: str,
    asked: LayerOptions | None,
    usual: LayerOptions | None = None,
) -> None:
    """Check that a model is of the kind that a class is for, and can do what the class will ask of it.

    Args:
        spec: The model.
        owner: Name of the class, for the message.
        scorers: Scorers that run models of this kind; empty accepts all.
        instead: Name of the class that takes every model, for the message.
        asked: The layers that calls will ask for.
        usual: The layers that count where they ask for none.

    Raises:
        InvalidInputError: Another scorer runs it, it has no such layers, or more than one layer is asked for.
    """
    if scorers and spec.scorer not in scorers:
        msg = (
            f"{owner} is for models that run on the scorer {' or '.join(sorted(scorers))}; {spec.id!r} runs on "
            f"{spec.scorer!r}. Use {instead}, which takes every model"
        )
        raise InvalidInputError(msg)
    settled = settle_layers(spec.layers, asked=asked, usual=usual)
    cutoff = () if settled is None else settled.cutoff_layers or ()
    if len(cutoff) > 1:
        msg = (
            f"a ranking has one score a document, and cutoff_layers={cutoff} asks for {len(cutoff)}; give one layer. "
            "The core's Reranker.score_layers() compares several"
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
