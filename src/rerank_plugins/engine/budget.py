"""The token budget of a batch: halved when memory runs out, and raised again step by step."""

from __future__ import annotations

__all__ = ["TokenBudget"]

_PATIENCE_BATCHES = 8
_LONGEST_PATIENCE_BATCHES = 4_096
_STUBBORN = 3


class TokenBudget:
    """Token slots a batch may occupy.

    Running out of memory halves what the failed batch took, but never goes below the largest batch that ran: what
    failed there is most likely over in a moment. After 8 batches without a failure the budget doubles, up to what it
    was at the start; if that fails, the next try comes after twice as many. A size that ran before and then fails three
    times with no batch of that size in between has become too large for good (another process took the memory).

    Changed by workers only, a number at a time; those of several devices may do so at once.

    Args:
        tokens: Slots at the start, and at most where no caller allows more.
    """

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self._usual = self._most = tokens
        self._proven = 0
        self._failures_of_proven = 0
        self._successes = 0
        self._patience = _PATIENCE_BATCHES
        self._has_grown = False

    def capped(self, limit_tokens: int | None) -> int:
        """Return the slots a batch may occupy when a caller sets a limit of its own, larger or not; None for none."""
        if limit_tokens is None:
            return min(self.tokens, self._usual)
        return limit_tokens if self.tokens >= self._most else min(self.tokens, limit_tokens)

    def allow(self, limit_tokens: int | None) -> None:
        """Let batches grow as far as a caller allows, unless memory has run out; None allows no more than usual."""
        if limit_tokens is not None and limit_tokens > self._most:
            is_full, self._most = self.tokens >= self._most, limit_tokens
            if is_full:
                self.tokens = limit_tokens

    def ran(self, cost: int) -> None:
        """Record that a batch of so many slots ran."""
        if cost >= self._proven:
            # One input may be longer than any budget.
            self._proven, self._failures_of_proven = min(cost, self._most), 0
        if self.tokens >= self._most:
            return
        self._successes += 1
        if self._successes >= self._patience:
            self._successes, self._has_grown = 0, True
            self.tokens = min(2 * self.tokens, self._most)

    def failed(self, cost: int) -> int:
        """Record that a batch of so many slots ran out of memory; return the slots of the batches to split it into."""
        half = max(1, min(self.tokens, cost) // 2)
        if cost <= self._proven:
            self._failures_of_proven += 1
            if self._failures_of_proven >= _STUBBORN:
                self._proven, self._failures_of_proven = half, 0
        if self._has_grown:
            self._patience = min(2 * self._patience, _LONGEST_PATIENCE_BATCHES)
        self._successes, self._has_grown = 0, False
        self.tokens = min(self.tokens, max(half, self._proven))
        return half
