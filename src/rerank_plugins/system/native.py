"""Keeps track of threads in native code: a fork waits until there is none, and an exit stops them.

Torch, oneDNN and the tokenizers have locks of their own, and so has ``import``. A child that is forked while another
thread holds one of them waits for it for ever. A daemon thread that returns from C++ after the interpreter has ended
aborts the process ("terminate called without an active exception"). Therefore batches, loads and tokenising run in a
block of :class:`native_code`:

* before a fork, threads that are about to enter a block wait, and the fork waits for those in a block, up to ten
  seconds;
* at exit no thread can enter a block, and the exit waits for those in one: a worker ends at its next batch, or, if its
  batch takes too long, at its next operation.

Invariants: the state here is changed by single dict operations, which are atomic for signals and forks, so it needs no
lock. An entry that an interrupted main thread did not remove costs one wait and is then removed.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import logging
import os
import sys
import threading
import time
from threading import get_ident

from rerank_plugins.errors import EngineClosedError

__all__ = ["is_ending", "let_others_proceed", "native_code", "native_help"]

logger = logging.getLogger(__name__)

_LONGEST_FORK_WAIT_S = 10.0
_LONGEST_BATCH_AT_EXIT_S = 1.2
_LONGEST_OPERATION_AT_EXIT_S = 30.0
_LONGEST_END_AT_EXIT_S = 0.5
_POLL_S = 0.0005
_ENDING = "this process is ending; calls are not answered any more"

_threads: dict[int, None] = {}
"""The threads that are in a block of native code."""

_forking: dict[int, float] = {}
"""The threads that are about to fork, and since when."""

_exiting: dict[int, None] = {}
"""The thread that ends the process."""

_hooked: dict[str, bool] = {}


class native_code:
    """Context manager around native code. Within another block it has no effect.

    Raises:
        EngineClosedError: The process is ending.
    """

    __slots__ = ("_is_outermost",)

    def __enter__(self) -> None:
        me = get_ident()
        self._is_outermost = me not in _threads
        if self._is_outermost:
            _enter(me)

    def __exit__(self, *_: object) -> None:
        if self._is_outermost:
            _threads.pop(get_ident(), None)


class native_help:
    """Context manager around a part of another thread's block, which waits for it.

    It waits for no fork, because the fork waits for that block.

    Raises:
        EngineClosedError: The process is ending.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        me = get_ident()
        _threads[me] = None
        if _exiting:
            _threads.pop(me, None)
            raise EngineClosedError(_ENDING)

    def __exit__(self, *_: object) -> None:
        _threads.pop(get_ident(), None)


def let_others_proceed() -> None:
    """Let a waiting fork or exit proceed. Called within a block, between two batches.

    Raises:
        EngineClosedError: The process is ending.
    """
    if _forking or _exiting:
        me = get_ident()
        _threads.pop(me, None)
        _enter(me)


def is_ending() -> bool:
    """Return whether the process is ending. A thread without work should then end too, since the exit waits for it."""
    return bool(_exiting)


def _enter(me: int) -> None:
    if not _hooked:
        _hook()
    while True:
        # First the entry, then the check: a fork does it in the other order, so at least one of the two sees the other.
        _threads[me] = None
        if _exiting and me not in _exiting:
            _threads.pop(me, None)
            raise EngineClosedError(_ENDING)
        if not _must_wait_for_fork(me):
            return
        _threads.pop(me, None)
        time.sleep(_POLL_S)


def _must_wait_for_fork(me: int) -> bool:
    """Return whether another thread is about to fork. One that never forked is ignored after a while."""
    now_s = time.monotonic()
    return any(who != me and now_s - since_s < 2 * _LONGEST_FORK_WAIT_S for who, since_s in list(_forking.items()))


def _hook() -> None:
    # If two threads come here at once, the functions are registered twice, which does no harm.
    _hooked["yes"] = True
    atexit.register(_before_exit)
    if hasattr(os, "register_at_fork"):
        # The parent's part is one C function: an interrupt cannot come in between and leave the others waiting.
        os.register_at_fork(before=_before_fork, after_in_parent=_forking.clear, after_in_child=_after_fork)


def _before_fork() -> None:
    me = get_ident()
    until_s = time.monotonic() + _LONGEST_FORK_WAIT_S
    while time.monotonic() < until_s:
        _forking[me] = time.monotonic()
        if not _other_threads(me) and not _others_import(me):
            return
        time.sleep(_POLL_S)
    logger.warning("forking while a model runs in another thread, after %.0f s of waiting", _LONGEST_FORK_WAIT_S)
    for who in _other_threads(me):
        # A thread that takes so long is not waited for again: its entry may be a leftover.
        _threads.pop(who, None)


def _after_fork() -> None:
    _threads.clear()
    _forking.clear()
    if "tokenizers" in sys.modules:
        # The threads of its pool are not here, and a user's own "true" would make it wait for them.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _before_exit() -> None:
    """Wait until no thread is in native code. At exit the threads that are not daemons have ended already."""
    me = get_ident()
    _exiting[me] = None
    seen = set(_other_threads(me))
    if not _wait_for_others(me, _LONGEST_BATCH_AT_EXIT_S):
        for who in _other_threads(me):
            # The batch is long: end it at the next operation. Nobody waits for its result.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(who), ctypes.py_object(SystemExit))
        _wait_for_others(me, _LONGEST_OPERATION_AT_EXIT_S)
    _wait_for_ends(seen)


def _wait_for_others(me: int, longest_s: float) -> bool:
    until_s = time.monotonic() + longest_s
    while _other_threads(me):
        # Another Ctrl-C does not make the process abort.
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(_POLL_S)
            if time.monotonic() > until_s:
                return False
    return True


def _wait_for_ends(seen: set[int]) -> None:
    """Wait a moment until threads that left a block have ended: freeing their last error runs native code too."""
    until_s = time.monotonic() + _LONGEST_END_AT_EXIT_S
    for thread in threading.enumerate():
        if thread.ident in seen:
            with contextlib.suppress(KeyboardInterrupt):
                thread.join(max(0.0, until_s - time.monotonic()))


def _other_threads(me: int) -> list[int]:
    return [who for who in list(_threads) if who != me]


def _others_import(me: int) -> bool:
    """Return whether another thread holds the lock of a module that it imports, which a child could never release."""
    locks: dict[str, object] = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})
    held = [reference() for reference in list(locks.values()) if callable(reference)]
    return any(getattr(lock, "owner", None) not in {None, me} for lock in held)
