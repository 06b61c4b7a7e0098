"""Rows of inputs that ran before, kept on request: a document that is retrieved again is not scored again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rerank_plugins.engine import forking
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.protocols import TokenInput

__all__ = ["CacheInfo", "ScoreCache", "check_score_cache"]


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """How a cache has done.

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


class ScoreCache:
    """The latest scores, by model, settings and token ids. Safe from any number of threads.

    One cache may serve any number of rerankers: the key holds what each score depends on (the checkpoint and its
    revision, device and precision, layer options, all ids), so that objects share what is equal and nothing else. It
    holds numbers and ids, never text.

    Args:
        max_entries: Inputs held at most; the one not asked for the longest goes first. An entry takes a few hundred
            bytes and its ids (four bytes a token).

    Raises:
        InvalidInputError: ``max_entries`` is below 1.
    """

    def __init__(self, max_entries: int = 100_000) -> None:
        if max_entries < 1:
            msg = f"max_entries must be at least 1, got {max_entries}; leave score_cache=None for no cache"
            raise InvalidInputError(msg)
        self._max_entries = max_entries
        # Of C and taken by ``with`` around single operations only: an interrupt cannot leave it held. Reentrant,
        # because a signal's handler may score too.
        self._lock = threading.RLock()
        self._rows: OrderedDict[Hashable, npt.NDArray[np.float32]] = OrderedDict()
        self._hits = 0
        self._misses = 0
        forking.watch(self)

    def get(self, model: Hashable, options: Hashable, one: TokenInput) -> npt.NDArray[np.float32] | None:
        """Return the row of an input, or None if it is not held. Shape: (width,), float32."""
        key = (model, options, one.key)
        with self._lock:
            row = self._rows.get(key)
            if row is None:
                self._misses += 1
                return None
            self._hits += 1
            self._rows.move_to_end(key)
            return row

    def put(self, model: Hashable, options: Hashable, one: TokenInput, row: npt.NDArray[np.float32]) -> None:
        """Keep the row of an input."""
        with self._lock:
            self._rows[model, options, one.key] = row.copy()
            self._rows.move_to_end((model, options, one.key))
            while len(self._rows) > self._max_entries:
                self._rows.popitem(last=False)

    def info(self) -> CacheInfo:
        """Return hits, misses and size."""
        with self._lock:
            return CacheInfo(self._hits, self._misses, len(self._rows), self._max_entries)

    def after_fork(self) -> None:
        """Make the lock anew, in a process that was forked while somebody may have held it."""
        self._lock = threading.RLock()

    def clear(self) -> None:
        """Forget all rows; the counters go on."""
        with self._lock:
            self._rows.clear()


def check_score_cache(cache: object) -> ScoreCache | None:
    """Return the cache, or raise InvalidInputError for anything but a :class:`ScoreCache` and None."""
    if cache is not None and not isinstance(cache, ScoreCache):
        msg = f"score_cache must be a ScoreCache() or None, got {type(cache).__name__}"
        raise InvalidInputError(msg)
    return cache
