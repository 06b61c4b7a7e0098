"""Counters of one loaded model, written by its workers and callers, read by anybody."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import replace
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
    """Numbers that only grow. Safe from any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: defaultdict[CounterName, float] = defaultdict(float)

    def add(self, name: CounterName, amount: float = 1) -> None:
        """Add to one number."""
        with self._lock:
            self._values[name] += amount

    def snapshot(self) -> EngineStats:
        """Return all numbers at this moment; what does not only grow is 0."""
        with self._lock:
            values = dict(self._values)
        counts = {name: int(value) for name, value in values.items() if name not in _SECONDS}
        stats = EngineStats(**counts)
        return replace(stats, queue_s=values.get("queue_s", 0.0), forward_s=values.get("forward_s", 0.0))

    def after_fork(self) -> None:
        """Make the lock anew, in a process that was forked while somebody may have held it."""
        self._lock = threading.Lock()
