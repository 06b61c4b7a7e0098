"""The future of a call: a worker sets its outcome once, the caller waits in a thread or on an event loop.

``concurrent.futures.Future`` has a Python-level lock, and a Ctrl-C can end its waiter between acquiring and releasing
it; the thread that sets the result then waits for ever. A reply has no lock:

* the outcome is set by one ``dict.setdefault``, which is atomic; the first one counts;
* a waiter registers a function (the release of a lock of its own), *then* checks for an outcome; the other side sets
  the outcome, *then* calls the registered functions. At least one of the two sees the other.

So setting the outcome never waits, whatever happened to the waiters.
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
    """A result that may not be there yet.

    Args:
        on_cancel: Called when the reply was cancelled before there was a result.
    """

    __slots__ = ("_decided", "_on_cancel", "_wakers")

    def __init__(self, on_cancel: Callable[[], object] | None = None) -> None:
        self._decided: dict[str, tuple[T | None, BaseException | None]] = {}
        self._wakers: deque[Callable[[], object]] = deque()
        self._on_cancel = on_cancel

    def succeed(self, value: T) -> bool:
        """Set the result; return whether it is the outcome (none was set before)."""
        return self._decide(value, None)

    def fail(self, error: BaseException) -> bool:
        """Set an error; return whether it is the outcome (none was set before)."""
        return self._decide(None, error)

    def cancel(self) -> bool:
        """Cancel; return whether that is the outcome: False if a result or an error was there first."""
        if not self._decide(None, CancelledError()):
            return False
        if self._on_cancel is not None:
            self._on_cancel()
        return True

    def done(self) -> bool:
        """Return whether there is an outcome."""
        return bool(self._decided)

    def cancelled(self) -> bool:
        """Return whether it was cancelled."""
        return self.done() and isinstance(self._decided["outcome"][1], CancelledError)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until there is an outcome; return whether there is one.

        Args:
            timeout_s: At most so long, and no longer than ``threading.TIMEOUT_MAX``; None for ever.
        """
        if not self._decided:
            done_lock = _thread.allocate_lock()
            done_lock.acquire()
            self.call_when_done(done_lock.release)
            done_lock.acquire(timeout=-1 if timeout_s is None else timeout_s)
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
        """Call ``wake`` when there is an outcome, in the thread that sets it, or now if there is one.

        It may be called twice, and must neither wait nor raise anything but RuntimeError.
        """
        self._wakers.append(wake)
        if self._decided:
            self._wake()

    def _decide(self, value: T | None, error: BaseException | None) -> bool:
        outcome = (value, error)
        if self._decided.setdefault("outcome", outcome) is not outcome:
            return False
        self._wake()
        return True

    def _wake(self) -> None:
        while self._wakers:
            try:
                self._wakers.popleft()()
            except IndexError:
                # Another thread has called the last one.
                return
            except RuntimeError:
                # A lock that was released already, or an event loop that is closed: no waiter is left there.
                logger.debug("a result has no waiter any more")
