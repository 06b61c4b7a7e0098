"""A limit on what runs at the same time, for threads and for tasks of any event loop alike."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitedTooLong

from rerank_plugins.engine import forking
from rerank_plugins.engine.deadline import Deadline

__all__ = ["Slots"]


class Slots:
    """A semaphore that threads wait for and tasks await, first come, first served.

    Args:
        n: Slots.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self.after_fork()
        forking.watch(self)

    def take(self, deadline: Deadline) -> None:
        """Wait for a slot.

        Raises:
            DeadlineExceededError: The time is over; no slot is taken then.
        """
        place = self._queue()
        try:
            while not place.done():
                deadline.check()
                _wait(place, deadline.remaining_s())
        except BaseException:
            self._leave(place)
            raise

    async def atake(self) -> None:
        """Wait for a slot without blocking the event loop; a cancelled task takes none."""
        place = self._queue()
        try:
            await asyncio.wrap_future(place)
        except BaseException:
            self._leave(place)
            raise

    def give(self) -> None:
        """Give a slot back, to the first who waits."""
        with self._lock:
            while self._waiting:
                # A place whose owner has gone is cancelled, and refuses.
                if (place := self._waiting.popleft()).set_running_or_notify_cancel():
                    place.set_result(None)
                    return
            self._free += 1

    def after_fork(self) -> None:
        """Begin anew in a forked process: what ran in the other one does not run here."""
        self._lock, self._free = threading.Lock(), self._n
        self._waiting: deque[Future[None]] = deque()

    def _queue(self) -> Future[None]:
        place: Future[None] = Future()
        with self._lock:
            if self._free:
                self._free -= 1
                place.set_result(None)
            else:
                self._waiting.append(place)
        return place

    def _leave(self, place: Future[None]) -> None:
        # Under the lock: whoever gives a slot has then either given it or not begun to.
        with self._lock:
            is_given = not place.cancel()
        if is_given:
            self.give()


def _wait(place: Future[None], seconds: float | None) -> None:
    try:
        place.result(seconds)
    except WaitedTooLong:  # The builtin TimeoutError from Python 3.11 on only.
        return
