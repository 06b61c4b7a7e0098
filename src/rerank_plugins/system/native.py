"""Who is inside native code: a fork waits for a moment in which nobody is, and an exit stops those who are.

Torch, oneDNN and the tokenizers have locks of their own, and so has ``import``. A child that is forked while another
thread holds one of them waits for it for ever; and a daemon thread that comes back from C++ when the interpreter has
gone aborts the process ("terminate called without an active exception"). So whoever runs batches, loads or tokenises
does it in a block of :class:`inside`:

* before a fork, threads that are about to step in wait, and the fork waits for those inside, up to ten seconds;
* at exit nobody steps in any more, and the exit waits for those inside: a worker ends at its next batch, and one whose
  batch takes too long at its next operation.

Invariants: what is here is changed by single operations of dicts, which no signal can interrupt and no fork can leave
half done; there is no lock. A mark that an interrupted main thread leaves behind costs one wait and is then forgotten.
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

__all__ = ["inside", "is_ending", "step_aside"]

logger = logging.getLogger(__name__)

_LONGEST_FORK_WAIT_S = 10.0
_LONGEST_BATCH_AT_EXIT_S = 1.2
_LONGEST_OPERATION_AT_EXIT_S = 30.0
_LONGEST_END_AT_EXIT_S = 0.5
_POLL_S = 0.0005

_inside: dict[int, None] = {}
"""The threads that are inside."""

_forking: dict[int, float] = {}
"""The threads that are about to fork, and since when."""

_exiting: dict[int, None] = {}
"""The thread that ends the process."""

_hooked: dict[str, bool] = {}


class inside:
    """A block of native code. Inside of another one it changes nothing.

    Raises:
        EngineClosedError: The process is ending.
    """

    __slots__ = ("_is_outermost",)

    def __enter__(self) -> None:
        me = get_ident()
        self._is_outermost = me not in _inside
        if self._is_outermost:
            _step_in(me)

    def __exit__(self, *_: object) -> None:
        if self._is_outermost:
            _inside.pop(get_ident(), None)


def step_aside() -> None:
    """Let a fork or an exit that waits have its way; called inside, between two batches.

    Raises:
        EngineClosedError: The process is ending.
    """
    if _forking or _exiting:
        me = get_ident()
        _inside.pop(me, None)
        _step_in(me)


def is_ending() -> bool:
    """Return whether the process is ending: whoever has nothing left to do should end too, as the exit waits for it."""
    return bool(_exiting)


def _step_in(me: int) -> None:
    if not _hooked:
        _hook()
    while True:
        # First the mark, then the look: a fork does it the other way round, so one of the two sees the other.
        _inside[me] = None
        if _exiting and me not in _exiting:
            _inside.pop(me, None)
            msg = "this process is ending; calls are not answered any more"
            raise EngineClosedError(msg)
        if not _is_held_up(me):
            return
        _inside.pop(me, None)
        time.sleep(_POLL_S)


def _is_held_up(me: int) -> bool:
    """Return whether another thread is about to fork; one that did not come to it does not count for ever."""
    now_s = time.monotonic()
    return any(who != me and now_s - since_s < 2 * _LONGEST_FORK_WAIT_S for who, since_s in list(_forking.items()))


def _hook() -> None:
    # Twice, should two threads come here at once, is as good as once.
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
        if not _others_inside(me) and not _others_import(me):
            return
        time.sleep(_POLL_S)
    logger.warning("forking while a model runs in another thread, after %.0f s of waiting", _LONGEST_FORK_WAIT_S)
    for who in _others_inside(me):
        # Whoever is there for so long is not waited for again: a mark may be a leftover.
        _inside.pop(who, None)


def _after_fork() -> None:
    _inside.clear()
    _forking.clear()
    if "tokenizers" in sys.modules:
        # The threads of its pool are not here, and a user's own "true" would make it wait for them.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _before_exit() -> None:
    """Wait until nobody is inside. At exit the threads that are not daemons are over already."""
    me = get_ident()
    _exiting[me] = None
    seen = set(_others_inside(me))
    if not _wait_for_others(me, _LONGEST_BATCH_AT_EXIT_S):
        for who in _others_inside(me):
            # The batch is long: end it at the next operation. Its result is for nobody.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(who), ctypes.py_object(SystemExit))
        _wait_for_others(me, _LONGEST_OPERATION_AT_EXIT_S)
    _wait_for_ends(seen)


def _wait_for_others(me: int, longest_s: float) -> bool:
    until_s = time.monotonic() + longest_s
    while _others_inside(me):
        # Another Ctrl-C does not make the process abort.
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(_POLL_S)
            if time.monotonic() > until_s:
                return False
    return True


def _wait_for_ends(seen: set[int]) -> None:
    """Wait a moment until threads that came out are over: what their last error held is freed by native code too."""
    until_s = time.monotonic() + _LONGEST_END_AT_EXIT_S
    for thread in threading.enumerate():
        if thread.ident in seen:
            with contextlib.suppress(KeyboardInterrupt):
                thread.join(max(0.0, until_s - time.monotonic()))


def _others_inside(me: int) -> list[int]:
    return [who for who in list(_inside) if who != me]


def _others_import(me: int) -> bool:
    """Return whether another thread holds the lock of a module that it imports: nobody frees it in a child."""
    locks: dict[str, object] = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})
    held = [reference() for reference in list(locks.values()) if callable(reference)]
    return any(getattr(lock, "owner", None) not in {None, me} for lock in held)
