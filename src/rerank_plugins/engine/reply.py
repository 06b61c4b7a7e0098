"""What a call's result comes back in: one side fills it once, the other waits, in a thread or on an event loop.

``concurrent.futures.Future`` guards itself with a Python-level lock, and a Ctrl-C can end its waiter between taking and
giving back that lock; whoever fills the future then waits for ever. Here nobody holds anything:

* the outcome is decided by one ``dict.setdefault``, which is whole or not done; the first one counts;
* a waiter hands in something to call (the release of a lock of its own), *then* looks whether there is an outcome;
  whoever decides sets the outcome, *then* calls what was handed in. One of the two sees the other.

So filling a reply never waits, whatever became of those who wanted it.
"""

from __future__ import annotations

import _thread
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Generic, TypeVar, cast

__all__ = ["Reply"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Reply(Generic[T]):
    """A result that will be there later.

    Args:
        on_cancel: Called when the reply was cancelled before there was a result.
    """

    __slots__ = ("_decided", "_on_cancel", "_wakers")

    def __init__(self, on_cancel: Callable[[], object] | None = None) -> None:
        self._decided: dict[str, tuple[T | None, BaseException | None]] = {}
        self._wakers: deque[Callable[[], object]] = deque()
        self._on_cancel = on_cancel

    def succeed(self, value: T) -> bool:
        """Give the result; return whether it is the outcome (nothing was decided before)."""
        return self._decide(value, None)

    def fail(self, error: BaseException) -> bool:
        """Give an error; return whether it is the outcome."""
        return self._decide(None, error)

    def cancel(self) -> bool:
        """Give up; return whether that is the outcome: False if the result or an error was there."""
        if not self._decide(None, CancelledError()):
            return False
        if self._on_cancel is not None:
            self._on_cancel()
        return True

    def done(self) -> bool:
        """Return whether there is an outcome."""
        return bool(self._decided)

    def cancelled(self) -> bool:
        """Return whether it was given up."""
        return self.done() and isinstance(self._decided["outcome"][1], CancelledError)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until there is an outcome; return whether there is one.

        Args:
            timeout_s: At most so long, and no longer than ``threading.TIMEOUT_MAX``; None for ever.
        """
        if not self._decided:
            bell = _thread.allocate_lock()
            bell.acquire()
            self.call_when_done(bell.release)
            bell.acquire(timeout=-1 if timeout_s is None else timeout_s)
        return self.done()

    def result(self, timeout_s: float | None = None) -> T:
        """Return the result, or raise the error.

        Raises:
            TimeoutError: It is not there in time.
            CancelledError: It was given up.
        """
        if not self.wait(timeout_s):
            raise TimeoutError
        value, error = self._decided["outcome"]
        if error is None:
            return cast("T", value)
        try:
            raise error
        finally:
            # The error's traceback holds this frame.
            del self, error

    def call_when_done(self, wake: Callable[[], object]) -> None:
        """Call ``wake`` when there is an outcome, in the thread that decides it, or now if there is one.

        It may be called twice, and must neither wait nor raise anything but RuntimeError.
        """
        self._wakers.append(wake)
        if self._decided:
            self._wake()

    def _decide(self, value: T | None, error: BaseException | None) -> bool:
        mine = (value, error)
        if self._decided.setdefault("outcome", mine) is not mine:
            return False
        self._wake()
        return True

    def _wake(self) -> None:
        while self._wakers:
            try:
                self._wakers.popleft()()
            except IndexError:
                # Somebody else called the last one.
                return
            except RuntimeError:
                # A lock that was released already, or an event loop that is closed: nobody waits there any more.
                logger.debug("nobody waits for a result any more")
