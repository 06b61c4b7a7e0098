"""What a call took, of calls whose results do not tell it: vectors and scores come without their usage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar

from rerank_plugins.calls.observing import CallRecord, add_observer
from rerank_plugins.types import CallUsage

__all__ = ["note_usages", "with_usage"]

T = TypeVar("T")

_USAGES: ContextVar[list[CallUsage | None] | None] = ContextVar("rerank_plugins_serving_usages", default=None)


def note_usages() -> Callable[[], None]:
    """Note from now on what the calls take that :func:`with_usage` asks for; return a function that stops that."""
    return add_observer(_note)


async def with_usage(call: Awaitable[T]) -> tuple[T, CallUsage | None]:
    """Return the result of a call of one step, and what it took; None where nobody tells."""
    found: list[CallUsage | None] = []
    mark = _USAGES.set(found)
    try:
        result = await call
    finally:
        _USAGES.reset(mark)
    # The calls of a composed model's members end before its own.
    return result, found[-1] if found else None


def _note(record: CallRecord) -> None:
    found = _USAGES.get()
    if found is not None:
        found.append(record.usage)
