"""Other settings for a block of code, where the object that has them is held by a framework.

An adapter object is shared by many callers, so a caller who wants other settings must not change it. Each caller
works with a copy that has them; :func:`override` puts the copy in the place of the original where only the original
can be reached, because a framework's engine holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

__all__ = ["in_effect", "override"]

_Adapter = TypeVar("_Adapter")

_OVERRIDES: ContextVar[tuple[tuple[object, object], ...]] = ContextVar("rerank_plugins_overrides", default=())


@contextmanager
def override(original: _Adapter, copy: _Adapter) -> Iterator[_Adapter]:
    """Use ``copy`` instead of ``original`` in the block, for this thread or task and those it starts.

    Blocks nest; the innermost one counts. Other threads and tasks are not touched: what counts is a context variable,
    which asyncio's tasks and ``asyncio.to_thread`` take along and a plain ``threading.Thread`` does not. Web frameworks
    run each step of a generator in a context of its own: there, a block counts up to the next ``yield``.
    """
    entry = original, copy
    _OVERRIDES.set((entry, *_OVERRIDES.get()))
    try:
        yield copy
    finally:
        # No reset: a generator that holds the block may be resumed, or closed, in another context than it was begun in.
        _OVERRIDES.set(tuple(one for one in _OVERRIDES.get() if one is not entry))


def in_effect(original: _Adapter) -> _Adapter:
    """Return the object that is used for ``original`` where this is called: an override, or ``original`` itself."""
    for one, copy in _OVERRIDES.get():
        if one is original and isinstance(copy, type(original)):
            return copy
    return original
