"""The pairs of a call by their queries, and what all of them took together."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import TypeVar

from rerank_plugins.backends.protocol import Pairs, ScoreOptions
from rerank_plugins.composed.members import Member, OpenModel, Stage
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import CallUsage, ChatUsage, RemoteUsage, StageUsage

__all__ = ["by_query", "identity_of", "stage_usage", "summed_usage", "telling"]

_Usage = TypeVar("_Usage", ChatUsage, RemoteUsage)


def by_query(pairs: Pairs) -> dict[str, list[int]]:
    """Return each query with the places of its pairs, in their order."""
    places: dict[str, list[int]] = {}
    for place, (query, _) in enumerate(pairs):
        places.setdefault(query, []).append(place)
    return places


def summed_usage(usages: Sequence[CallUsage], *, n_stages: int, n_inputs: int) -> CallUsage:
    """Return what the parts of a call took together; a stage that ran for several queries is listed once.

    Args:
        usages: One of each stage for one query after the other: all stages of the first query, all of the second.
        n_stages: Stages of a query. Their places tell them apart, not their names: a model may be in two of them.
        n_inputs: Pairs of the call.
    """
    stages = [
        reduce(operator.add, [stage for usage in usages[place::n_stages] for stage in usage.stages])
        for place in range(min(n_stages, len(usages)))
    ]
    return CallUsage(
        tokenize_ms=sum(one.tokenize_ms for one in usages),
        queue_ms=sum(one.queue_ms for one in usages),
        forward_ms=sum(one.forward_ms for one in usages),
        inputs=n_inputs,
        tokens=sum(one.tokens for one in usages),
        reused_inputs=0,
        chat=_sum_of_known(one.chat for one in usages),
        stages=tuple(stages),
        remote=_sum_of_known(one.remote for one in usages),
    )


@contextmanager
def telling(options: ScoreOptions, usages: Sequence[CallUsage], *, n_stages: int, n_inputs: int) -> Iterator[None]:
    """Tell what the parts of a call had taken together if it ends with an error; see :func:`summed_usage`."""
    try:
        yield
    except BaseException:
        options.spent.append(summed_usage(usages, n_stages=n_stages, n_inputs=n_inputs))
        raise


def _sum_of_known(usages: Iterable[_Usage | None]) -> _Usage | None:
    """Return the sum of the usages that are known; None if none is."""
    known = [one for one in usages if one is not None]
    return reduce(operator.add, known) if known else None


def identity_of(named: Sequence[Stage | Member], models: Sequence[OpenModel], *settings: object) -> str:
    """Return a short text that changes when scores may: the revision of a composed model."""
    digest = hashlib.sha256(repr(settings).encode())
    for one, model in zip(named, models, strict=True):
        values = [
            (one.depth, one.min_probability) if isinstance(one, Stage) else one.weight,
            one.layers,
            sorted(one.options.items()),
        ]
        digest.update(repr((model.name, _origin(model.reranker), model.reranker.calibration, values)).encode())
    return digest.hexdigest()[:12]


def _origin(reranker: Reranker) -> object:
    """Return what makes the scores of a model, one whose scores count within a call included."""
    spec = reranker.spec
    return reranker.score_source if spec.score_scope == "model" else (spec.id, spec.revision, reranker.max_length)


def stage_usage(name: str, documents: int, ms: float, skipped: str, usage: CallUsage | None = None) -> CallUsage:
    """Return what a model took.

    Args:
        name: What it is called.
        documents: How many it scored.
        ms: Milliseconds, from asking to having.
        skipped: See :class:`~rerank_plugins.types.StageUsage`.
        usage: What the model itself reported, whose tokens, times, calls and costs count; None if nothing.
    """
    stage = StageUsage(name=name, documents=documents, ms=ms, skipped=skipped)
    return CallUsage(
        tokenize_ms=0.0 if usage is None else usage.tokenize_ms,
        queue_ms=0.0 if usage is None else usage.queue_ms,
        forward_ms=ms if usage is None else usage.forward_ms,
        inputs=0,
        tokens=0 if usage is None else usage.tokens,
        reused_inputs=0,
        chat=None if usage is None else usage.chat,
        stages=(stage,),
        remote=None if usage is None else usage.remote,
    )
