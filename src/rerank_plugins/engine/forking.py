"""Lets models that were loaded before ``os.fork()`` work in the child, which has no other threads and no held locks."""

from __future__ import annotations

import os
import sys
import weakref
from typing import Protocol

__all__ = ["watch"]


class _Forkable(Protocol):
    def after_fork(self) -> None: ...


_watched: set[weakref.ref[_Forkable]] = set()
"""A plain set: one operation of it is whole or not done, whatever is interrupted or forked."""

_hooked: dict[str, bool] = {}


def watch(one: _Forkable) -> None:
    """Call ``one.after_fork()`` in every child process that is forked while it lives."""
    _watched.add(weakref.ref(one, _watched.discard))
    if not _hooked and hasattr(os, "register_at_fork"):
        # If two threads come here at once, the function is registered twice, which does no harm.
        _hooked["yes"] = True
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    living = [one for one in (reference() for reference in list(_watched)) if one is not None]
    if not living:
        return
    # OpenMP's threads are not in the child either, and its next parallel region would wait for them for ever.
    # (A process that has not imported torch has none.)
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
    for one in living:
        one.after_fork()
