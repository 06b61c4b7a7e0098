"""A cache of scores, used on request: a pair that was scored before is not scored again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count
from rerank_plugins.engine import forking

__all__ = ["CacheInfo", "ScoreCache"]


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """Hits, misses and size of a cache.

    Attributes:
        hits: Inputs that were found.
        misses: Inputs that were looked for and not found.
        entries: Inputs held now.
        max_entries: Inputs held at most.
    """

    hits: int
    misses: int
    entries: int
    max_entries: int


class Cached(Protocol):
    """A key of the cache: an input of a model, or a pair of texts."""

    @property
    def cache_key(self) -> Hashable:
        """What the scores depend on besides model and settings. It holds a digest and never text."""
        ...


class ScoreCache:
    """The latest scores, by model, settings and token ids. Safe from any number of threads.

    One cache may serve any number of rerankers: the key holds what each score depends on (the checkpoint and its
    revision, device and precision, layer options, all ids), so that objects share what is equal and nothing else. It
    holds numbers and ids, never text.

    Args:
        max_entries: Inputs held at most; the least recently used one is removed first. An entry takes some 600 bytes
            however long its input is, and four for each number of its row; 100,000 take 60 MB.

    Raises:
        InvalidInputError: ``max_entries`` is below 1.
    """

    @checked_call()
    def __init__(self, max_entries: Count = 100_000) -> None:
        self._max_entries = max_entries
        # Of C and taken by ``with`` around single operations only: an interrupt cannot leave it held. Reentrant,
        # because a signal's handler may score too.
        self._lock = threading.RLock()
        self._rows: OrderedDict[Hashable, npt.NDArray[np.float32]] = OrderedDict()
        self._hits = 0
        self._misses = 0
        forking.watch(self)

    def get(self, model: Hashable, options: Hashable, one: Cached) -> npt.NDArray[np.float32] | None:
        """Return the row of an input, or None if it is not held. Shape: (width,), float32."""
        key = model, options, one.cache_key
        with self._lock:
            row = self._rows.get(key)
            if row is None:
                self._misses += 1
                return None
            self._hits += 1
            self._rows.move_to_end(key)
            return row

    def put(self, model: Hashable, options: Hashable, one: Cached, row: npt.NDArray[np.float32]) -> None:
        """Keep the row of an input."""
        key = model, options, one.cache_key
        with self._lock:
            self._rows[key] = row.copy()
            self._rows.move_to_end(key)
            while len(self._rows) > self._max_entries:
                self._rows.popitem(last=False)

    def info(self) -> CacheInfo:
        """Return hits, misses and size."""
        with self._lock:
            return CacheInfo(self._hits, self._misses, len(self._rows), self._max_entries)

    def after_fork(self) -> None:
        """Replace the lock in a forked process, since another thread may have held it."""
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[object, ...]:
        # Copies and other processes begin with an empty cache, because its contents are only useful where they were
        # made.
        return ScoreCache, (self._max_entries,)

    def clear(self) -> None:
        """Forget all rows; the counters go on."""
        with self._lock:
            self._rows.clear()
