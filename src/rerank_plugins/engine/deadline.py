"""Deadlines: how long a caller waits for a result before it gives up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

from rerank_plugins.engine.reply import Reply
from rerank_plugins.errors import DeadlineExceededError

__all__ = ["Deadline"]

T = TypeVar("T")

_LONGEST_WAIT_S = 1e6
"""Eleven days. No lock waits longer than ``threading.TIMEOUT_MAX``, and longer times overflow clocks."""


class Deadline:
    """The time limit of one call. The clock starts when the object is made.

    Args:
        seconds: From now. None means no limit, and so does a time beyond the longest wait (1e6).
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = None if seconds is None or seconds > _LONGEST_WAIT_S else seconds
        self._started_s = time.perf_counter()

    def check(self) -> None:
        """Raise if the time is over already, before any work is queued.

        Raises:
            DeadlineExceededError: The time is over.
        """
        self.left_s()

    def needs(self, seconds: float) -> None:
        """Raise now if something is to take longer than is left.

        Raises:
            DeadlineExceededError: Fewer seconds are left.
        """
        remaining_s = self.remaining_s()
        if remaining_s is not None and remaining_s < seconds:
            raise self._exceeded()

    def wait(self, reply: Reply[T]) -> T:
        """Return the result. If the wait ends early, by a signal for example, the work is cancelled.

        Raises:
            DeadlineExceededError: The time is over.
        """
        try:
            if not reply.wait(self.remaining_s()) and reply.cancel():
                raise self._exceeded()
        except BaseException:
            reply.cancel()
            raise
        return reply.result()

    async def await_result(self, reply: Reply[T]) -> T:
        """Return the result without blocking the event loop. Cancelling the task cancels the work.

        Raises:
            DeadlineExceededError: The time is over.
        """
        loop = asyncio.get_running_loop()
        # It only signals that the reply is there: an asyncio future cannot hold every exception (StopIteration).
        there: asyncio.Future[None] = loop.create_future()
        try:
            reply.call_when_done(partial(loop.call_soon_threadsafe, _signal, there))
            await asyncio.wait_for(there, self.remaining_s())
        except asyncio.TimeoutError:
            if reply.cancel():
                raise self._exceeded() from None
        except BaseException:
            reply.cancel()
            raise
        return reply.result()

    async def await_work(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of a coroutine, which is cancelled when the time is over.

        Raises:
            DeadlineExceededError: The time is over.
        """
        try:
            return await asyncio.wait_for(work, self.remaining_s())
        except asyncio.TimeoutError as error:
            # On Python 3.11 and later this is the builtin TimeoutError, which the work itself may raise.
            remaining_s = self.remaining_s()
            if remaining_s is None or remaining_s > 0.0:
                raise
            raise self._exceeded() from error

    def remaining_s(self) -> float | None:
        """Return the seconds that are left: 0.0 if the time is over, None without a limit."""
        if self._seconds is None:
            return None
        return max(0.0, self._seconds - (time.perf_counter() - self._started_s))

    def left_s(self) -> float | None:
        """Return the seconds that are left for a further call, which takes more than 0 of them; None without a limit.

        Raises:
            DeadlineExceededError: The time is over.
        """
        remaining_s = self.remaining_s()
        if remaining_s is not None and remaining_s <= 0.0:
            raise self._exceeded()
        return remaining_s

    def _exceeded(self) -> DeadlineExceededError:
        return DeadlineExceededError(
            f"the result was not there within deadline_s={self._seconds}; fewer or shorter documents, a smaller model "
            "or a longer deadline would help"
        )


def _signal(there: asyncio.Future[None]) -> None:
    if not there.done():
        there.set_result(None)
