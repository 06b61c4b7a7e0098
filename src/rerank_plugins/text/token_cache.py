"""Texts whose ids are at hand: the query of every pair, the document that is retrieved again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

__all__ = ["TokenCache"]

T = TypeVar("T")

_LARGEST_SHARE = 8


class TokenCache(Generic[T]):
    """The latest texts with their tokens, bounded by characters. Safe from any number of threads.

    Args:
        max_characters: Characters of all texts together at most; a text of more than an eighth of that is not kept.
    """

    def __init__(self, max_characters: int) -> None:
        self._max_characters = max_characters
        self._lock = threading.Lock()
        self._tokens: OrderedDict[str, T] = OrderedDict()
        self._characters = 0
        self._hits = 0
        self._misses = 0

    def get(self, text: str) -> T | None:
        """Return the tokens of a text, or None if they are not at hand."""
        with self._lock:
            tokens = self._tokens.get(text)
            if tokens is None:
                self._misses += 1
                return None
            self._hits += 1
            self._tokens.move_to_end(text)
            return tokens

    def put(self, text: str, tokens: T) -> None:
        """Keep the tokens of a text; those not asked for the longest make room."""
        if len(text) > self._max_characters // _LARGEST_SHARE:
            return
        with self._lock:
            if text not in self._tokens:
                self._characters += len(text)
            self._tokens[text] = tokens
            self._tokens.move_to_end(text)
            while self._characters > self._max_characters:
                oldest, _ = self._tokens.popitem(last=False)
                self._characters -= len(oldest)

    def counts(self) -> tuple[int, int]:
        """Return hits and misses."""
        with self._lock:
            return self._hits, self._misses

    def after_fork(self) -> None:
        """Make the lock anew, in a process that was forked while somebody may have held it."""
        self._lock = threading.Lock()
