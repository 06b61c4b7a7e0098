"""Counters of one loaded model, written by its workers and callers, readable from any thread."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from threading import get_ident
from typing import Literal

from rerank_plugins.types import EngineStats

__all__ = ["CounterName", "Counters"]

CounterName = Literal[
    "calls",
    "calls_failed",
    "calls_cancelled",
    "calls_refused",
    "calls_merged",
    "inputs",
    "inputs_reused",
    "inputs_dropped",
    "batches",
    "tokens",
    "padding_tokens",
    "out_of_memory",
    "queue_s",
    "forward_s",
]
"""Those of :class:`~rerank_plugins.types.EngineStats` that only grow."""

_SECONDS = ("queue_s", "forward_s")


class Counters:
    """Numbers that only grow. Thread-safe without a lock: each thread has counters of its own.

    So neither a signal nor a fork can leave a lock held in the middle of counting.
    """

    def __init__(self) -> None:
        self._of_thread: dict[int, defaultdict[CounterName, float]] = {}

    def add(self, name: CounterName, amount: float = 1) -> None:
        """Add to one number."""
        thread_id = get_ident()
        counts = self._of_thread.get(thread_id)
        if counts is None:
            # The counters of a thread that has ended are continued by the next thread with the same identity.
            counts = self._of_thread.setdefault(thread_id, defaultdict(float))
        counts[name] += amount

    def snapshot(self) -> EngineStats:
        """Return all counters at this moment. The fields of the result that are no counters are 0."""
        values: defaultdict[CounterName, float] = defaultdict(float)
        for of_one in list(self._of_thread.values()):
            for name, amount in list(of_one.items()):
                values[name] += amount
        counts = {name: int(value) for name, value in values.items() if name not in _SECONDS}
        stats = EngineStats(**counts)
        return replace(stats, queue_s=values.get("queue_s", 0.0), forward_s=values.get("forward_s", 0.0))
