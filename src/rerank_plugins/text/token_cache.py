"""A cache of token ids: the query of every pair, a document that is retrieved again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["TokenCache"]

T = TypeVar("T")

_LARGEST_SHARE = 8
_ENTRY_BYTES = 110
"""A place in a dict just after it grew: 24 bytes and an index, and as much again or more that is free."""


class _Generation(Generic[T]):
    """Texts that were requested during one period of time, and the bytes they take."""

    __slots__ = ("n_bytes", "tokens")

    def __init__(self) -> None:
        self.tokens: dict[str, T] = {}
        self.n_bytes = 0


class TokenCache(Generic[T]):
    """The most recently used texts with their tokens, up to a number of bytes. Thread-safe.

    It has no lock that an interrupt or a fork could leave held. Two generations, each with half of the bytes,
    approximate an order of use: a requested text goes to the younger one. When that is full, it becomes the older one,
    and the texts of the former older one are dropped. Single dict operations cannot be interrupted; threads that meet
    between two of them can only swap the generations a moment early or late.

    Args:
        max_bytes: Texts, tokens and places in the dicts together at most; what takes more than an eighth of it by
            itself is not kept.
        size_of: Bytes that the tokens of a text take.
    """

    def __init__(self, max_bytes: int, *, size_of: Callable[[T], int]) -> None:
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._young: _Generation[T] = _Generation()
        self._old: _Generation[T] = _Generation()
        self._hits = 0
        self._misses = 0

    def get(self, text: str) -> T | None:
        """Return the tokens of a text, or None if they are not in the cache."""
        tokens = self._young.tokens.get(text)
        if tokens is None:
            tokens = self._old.tokens.get(text)
            if tokens is None:
                self._misses += 1
                return None
            self.put(text, tokens)
        self._hits += 1
        return tokens

    def put(self, text: str, tokens: T) -> None:
        """Add the tokens of a text; texts that were not used recently are dropped for it."""
        n_bytes = sys.getsizeof(text) + _ENTRY_BYTES + self._size_of(tokens)
        young = self._young
        if n_bytes * _LARGEST_SHARE > self._max_bytes or text in young.tokens:
            return
        if 2 * (young.n_bytes + n_bytes) > self._max_bytes:
            self._old, self._young = young, _Generation()
            young = self._young
        # Counted first: an interrupt in between leaves some bytes unused, but never exceeds the limit.
        young.n_bytes += n_bytes
        young.tokens[text] = tokens

    def counts(self) -> tuple[int, int]:
        """Return hits and misses."""
        return self._hits, self._misses
