"""Which inputs run next: calls take turns, and calls that fit together share batches.

Uses no threads and no clock of its own. One worker at a time may use it; it is not thread-safe.
"""

from __future__ import annotations

from collections import deque

from rerank_plugins.engine.budget import TokenBudget
from rerank_plugins.engine.calls import Call, Piece

__all__ = ["MERGED_BUDGETS", "PIECE_BUDGETS", "Schedule"]

PIECE_BUDGETS = 8
"""Budgets of tokens in a piece of a long call: enough for full batches of near lengths and one copy to the host for a
call of usual size, few enough that a short call does not wait long."""

MERGED_BUDGETS = 4
"""Budgets of tokens that waiting calls are merged up to. With 32 threads of 20 passages each, one budget reached 0.82
of one bulk call's throughput, 2 0.89, 4 0.92 and 8 0.94; a call waits for all that it is merged with."""


class Schedule:
    """The waiting calls, in the order of their turns.

    Args:
        budget: Token slots of a batch; a few of them are the tokens of waiting calls that are merged at most.
    """

    def __init__(self, budget: TokenBudget) -> None:
        self._budget = budget
        self._calls: deque[Call] = deque()

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: Call) -> None:
        """Add a call at the end of the queue."""
        self._calls.append(call)

    def drop_cancelled(self) -> list[Call]:
        """Remove the calls that were cancelled, and return them."""
        cancelled = [call for call in self._calls if not call.is_wanted]
        if cancelled:
            self._calls = deque(call for call in self._calls if call.is_wanted)
        return cancelled

    def remaining_wait_s(self) -> float:
        """Return how many seconds the first call may still wait for others to fill its batch."""
        first = self._calls[0]
        if first.limits.max_wait_ms <= 0.0:
            return 0.0
        budget = self._budget.capped(first.limits.max_batch_tokens)
        waiting = sum(call.waiting_tokens for call in self._calls if call.merge_key == first.merge_key)
        return 0.0 if waiting >= budget else first.limits.max_wait_ms / 1e3 - first.waited_s

    def take(self) -> list[Piece]:
        """Return the next piece of the first call and the pieces of other calls that fit into the same batches."""
        first = self._calls[0]
        limit = MERGED_BUDGETS * self._budget.capped(first.limits.max_batch_tokens)
        pieces: list[Piece] = []
        passed_over: list[Call] = []
        unfinished: list[Call] = []
        tokens = 0
        while self._calls and tokens < limit:
            call = self._calls.popleft()
            if call.merge_key != first.merge_key or (pieces and tokens + call.waiting[0].tokens > limit):
                passed_over.append(call)
                continue
            pieces.append(call.next_piece())
            tokens += pieces[-1].tokens
            if call.waiting:
                unfinished.append(call)
        self._calls.extendleft(reversed(passed_over))
        self._calls.extend(unfinished)
        return pieces
