"""The mailbox, through which calls go from their threads to the workers.

A caller appends its call, *then* notifies; a worker waits for a notification, *then* takes the calls. Both are single C
operations: a Ctrl-C may come before or after each of them. The worst that it leaves is a call without a notification,
which is taken at the next one. The lock serves as a bell (released means: notified). Callers never acquire it, so no
caller ever holds anything that another thread waits for.
"""

from __future__ import annotations

import _thread
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

__all__ = ["Mailbox"]

T = TypeVar("T")

_LONGEST_WAIT_S = 1e6


class Mailbox(Generic[T]):
    """A queue that any number of threads append to and one thread at a time takes from."""

    __slots__ = ("_items", "_wakeup")

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._wakeup = _thread.allocate_lock()
        self._wakeup.acquire()

    def put(self, item: T) -> None:
        """Append an item and notify the worker."""
        self._items.append(item)
        self.notify()

    def notify(self) -> None:
        """Wake the waiting worker, or let the next wait return at once."""
        # Another thread has notified already.
        with suppress(RuntimeError):
            self._wakeup.release()

    def wait(self, seconds: float) -> bool:
        """Wait for a notification; return whether there was one. For one thread at a time."""
        return self._wakeup.acquire(timeout=min(max(seconds, 0.0), _LONGEST_WAIT_S))

    def take(self) -> Iterator[T]:
        """Yield the items. Each is removed only when the next one is requested, so that an interrupt loses none."""
        while self._items:
            yield self._items[0]
            self._items.popleft()

    def drop_while(self, is_void: Callable[[T], bool]) -> None:
        """Remove items up to the first that is not void. For the thread that may take them."""
        while self._items and is_void(self._items[0]):
            self._items.popleft()

    def items(self) -> list[T]:
        """Return the items that have not been taken. For any thread."""
        return list(self._items)

    def __len__(self) -> int:
        return len(self._items)
