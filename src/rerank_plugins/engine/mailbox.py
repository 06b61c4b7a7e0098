"""How calls come from their threads to the workers.

A caller appends its call, *then* rings; a worker waits for the bell, *then* takes the calls. Both are single C
operations: a Ctrl-C may come before or after each of them, and the worst it leaves is a call that nobody rang for,
which the next ring brings along. Nobody ever holds anything that another thread waits for; the lock is a bell here
(released means it rang), and callers never acquire it.
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
    """Letters from any number of threads, taken out by one at a time."""

    __slots__ = ("_bell", "_letters")

    def __init__(self) -> None:
        self._letters: deque[T] = deque()
        self._bell = _thread.allocate_lock()
        self._bell.acquire()

    def put(self, letter: T) -> None:
        """Leave a letter and ring."""
        self._letters.append(letter)
        self.ring()

    def ring(self) -> None:
        """Wake whoever waits, or make the next wait short."""
        # It rang already.
        with suppress(RuntimeError):
            self._bell.release()

    def wait(self, seconds: float) -> bool:
        """Wait for a ring; return whether there was one. For one thread at a time."""
        return self._bell.acquire(timeout=min(max(seconds, 0.0), _LONGEST_WAIT_S))

    def take(self) -> Iterator[T]:
        """Yield the letters, each removed only when the next one is asked for, so that it is never nowhere."""
        while self._letters:
            yield self._letters[0]
            self._letters.popleft()

    def drop_while(self, is_void: Callable[[T], bool]) -> None:
        """Throw away letters up to the first that is not void. For whoever may take them."""
        while self._letters and is_void(self._letters[0]):
            self._letters.popleft()

    def letters(self) -> list[T]:
        """Return what has not been taken. For any thread."""
        return list(self._letters)

    def __len__(self) -> int:
        return len(self._letters)
