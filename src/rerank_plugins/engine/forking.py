"""Models that were loaded before ``os.fork()`` work in the child: threads and held locks do not come along."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

import torch

__all__ = ["watch"]


class _Forkable(Protocol):
    def after_fork(self) -> None: ...


_lock = threading.Lock()
_watched: weakref.WeakSet[_Forkable] = weakref.WeakSet()
_hooked = False


def watch(one: _Forkable) -> None:
    """Call ``one.after_fork()`` in every child process that is forked while it lives."""
    global _hooked
    with _lock:
        _watched.add(one)
        if not _hooked and hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)
            _hooked = True


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    if not _watched:
        return
    # OpenMP's threads stay behind too, and its next parallel region would wait for them for ever.
    torch.set_num_threads(1)
    for one in list(_watched):
        one.after_fork()
