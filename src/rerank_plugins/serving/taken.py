"""What calls took whose results do not tell it: vectors, scores and explanations come without their usage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from functools import reduce
from typing import TypeVar

from rerank_plugins.calls.observing import CallRecord, add_observer
from rerank_plugins.types import CallUsage, ChatUsage, RemoteUsage

__all__ = ["note_usages", "together", "with_usage"]

T = TypeVar("T")
_Part = TypeVar("_Part", ChatUsage, RemoteUsage)

_RECORDS: ContextVar[list[CallRecord] | None] = ContextVar("rerank_plugins_serving_records", default=None)


def note_usages() -> Callable[[], None]:
    """Note from now on what the calls take that :func:`with_usage` asks for; return a function that stops that."""
    return add_observer(_note)


async def with_usage(call: Awaitable[T], *, model: str) -> tuple[T, CallUsage | None]:
    """Return the result of a call, and what all of its steps took; None where nobody tells.

    Args:
        call: What is awaited.
        model: The model's id. What the members of a composed model took is in what itself tells.
    """
    found: list[CallRecord] = []
    mark = _RECORDS.set(found)
    try:
        result = await call
    finally:
        _RECORDS.reset(mark)
    return result, together([one.usage for one in found if one.model == model])


def together(usages: Sequence[CallUsage | None]) -> CallUsage | None:
    """Return what calls took together; None if there is none, or one of them does not tell."""
    known = [one for one in usages if one is not None]
    return reduce(_sum, known) if known and len(known) == len(usages) else None


def _sum(one: CallUsage, other: CallUsage) -> CallUsage:
    return replace(
        one,
        tokenize_ms=one.tokenize_ms + other.tokenize_ms,
        queue_ms=one.queue_ms + other.queue_ms,
        forward_ms=one.forward_ms + other.forward_ms,
        inputs=one.inputs + other.inputs,
        tokens=one.tokens + other.tokens,
        reused_inputs=one.reused_inputs + other.reused_inputs,
        chat=_sum_of_parts(one.chat, other.chat),
        stages=one.stages + other.stages,
        remote=_sum_of_parts(one.remote, other.remote),
    )


def _sum_of_parts(one: _Part | None, other: _Part | None) -> _Part | None:
    return one + other if one is not None and other is not None else one or other


def _note(record: CallRecord) -> None:
    found = _RECORDS.get()
    if found is not None:
        found.append(record)
