"""Refuses work by tokens before anything is tokenised: an estimate from characters, in microseconds.

The engine's own ``max_waiting_tokens`` counts exactly, but only after tokenising, for which the callers of a busy
server stand in line.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rerank_plugins.serving.refusals import Refusal

__all__ = ["Admission", "estimated_tokens", "pair_tokens"]

_LETTERS, _BYTES = 4, 3
"""Characters of English in a token, and bytes of UTF-8 of other scripts: a Chinese character has three."""

_MEMORY_S = 10.0
"""How fast the measured speed forgets."""

_SHARE_OF_TIME = 0.5
"""Of a caller's time, what the work before and of its request may take by the measured speed, which varies with texts
and with what else the machine does."""

_LONGEST_WAIT_S = 60


def estimated_tokens(text: str, *, most: int | None = None) -> int:
    """Return about how many tokens a text has.

    Args:
        text: Any text.
        most: No more than that are read; None for no limit.
    """
    tokens = 1 + (len(text) // _LETTERS if text.isascii() else len(text.encode("utf-8", "replace")) // _BYTES)
    return tokens if most is None else min(tokens, most)


def pair_tokens(query: str, documents: Sequence[str], *, length: int, windows: bool) -> int:
    """Return about how many tokens the inputs of a query and its documents have.

    Args:
        query: The question; every input holds it.
        documents: The texts.
        length: Tokens of an input.
        windows: Whether a long document is read in several inputs.
    """
    query_tokens = estimated_tokens(query, most=length)
    room = max(1, length - query_tokens)
    total = 0
    for document in documents:
        tokens = estimated_tokens(document, most=None if windows else room)
        total += tokens + query_tokens * -(-tokens // room)
    return total


class Admission:
    """Counts the tokens that are under way in one model, and its speed. Used on one event loop.

    Args:
        max_waiting_tokens: A request that would make it more is refused, unless nothing is under way; None for no
            limit.
        clock: Gives seconds.
    """

    def __init__(self, max_waiting_tokens: int | None, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._limit, self._clock = max_waiting_tokens, clock
        self._waiting = 0
        self._since_s = clock()
        self._done, self._busy_s = 0.0, 0.0

    @property
    def waiting_tokens(self) -> int:
        """Estimated tokens of the requests that are under way."""
        return self._waiting

    @property
    def tokens_per_s(self) -> float | None:
        """How many estimated tokens a second went through lately; None before the first."""
        return self._done / self._busy_s if self._done and self._busy_s > 0 else None

    @contextmanager
    def admitted(self, tokens: int, *, time_left_s: float | None) -> Iterator[None]:
        """Hold a place for a request, as a block.

        Args:
            tokens: Its estimated tokens.
            time_left_s: Seconds after which its caller gives up; None for never.

        Raises:
            Refusal: Too much is under way, or its turn would come too late.
        """
        self._check(tokens, time_left_s)
        self._tick()
        self._waiting += tokens
        done = False
        try:
            yield
            done = True
        finally:
            self._tick()
            self._waiting -= tokens
            if done:
                self._done += tokens

    def _check(self, tokens: int, time_left_s: float | None) -> None:
        if not self._waiting:
            return
        speed = self.tokens_per_s
        too_many = 0 if self._limit is None else self._waiting + tokens - self._limit
        too_late_s = 0.0
        if speed is not None and time_left_s is not None:
            too_late_s = (self._waiting + tokens) / speed - _SHARE_OF_TIME * time_left_s
        if too_many <= 0 and too_late_s <= 0:
            return
        wait_s = max(1.0 if speed is None else max(0, too_many) / speed, too_late_s)
        msg = f"the model is busy: about {self._waiting} tokens wait in front of this request; try again later"
        raise Refusal(msg, kind="overloaded", retry_after_s=max(1, min(_LONGEST_WAIT_S, math.ceil(wait_s))))

    def _tick(self) -> None:
        """Let time pass: while something is under way the model is busy, and old measurements fade."""
        now_s = self._clock()
        passed_s, self._since_s = now_s - self._since_s, now_s
        if self._waiting:
            fading = math.exp(-passed_s / _MEMORY_S)
            self._done *= fading
            self._busy_s = self._busy_s * fading + passed_s
