"""Query vectors that were asked for before: bounded, least recently used out first, safe from any thread."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count
from rerank_plugins.engine import forking

__all__ = ["CacheStatistics", "QueryVectorCache"]

_Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Hits, misses and size of a query cache.

    Attributes:
        hits: Queries whose vector was there.
        misses: Queries whose vector was not.
        entries: Vectors in it.
        max_entries: Vectors it holds at most.
    """

    hits: int
    misses: int
    entries: int
    max_entries: int


class QueryVectorCache:
    """The latest vectors of queries, by settings and text. Safe from any number of threads.

    One cache may serve any number of embedders: the key holds all that a vector depends on.

    Args:
        max_entries: Vectors kept at most; the one that was not used for the longest time goes first. An entry takes
            some 500 bytes however long its text is, and four for each number of its vector.

    Raises:
        InvalidInputError: ``max_entries`` is below 1.
    """

    @checked_call()
    def __init__(self, max_entries: Count = 10_000) -> None:
        self._max_entries = max_entries
        # Of C and taken by ``with`` only: an interrupt cannot leave it held. Reentrant for handlers of signals.
        self._lock = threading.RLock()
        self._vectors: OrderedDict[tuple[Hashable, bytes], _Vector] = OrderedDict()
        self._hits = self._misses = 0
        forking.watch(self)

    def look_up(self, settings: Hashable, texts: Sequence[str]) -> tuple[dict[str, _Vector], list[str]]:
        """Return the vectors that are there, by text, and the different texts that must be embedded.

        Every text counts as a hit or a miss. Shape of each vector: (dim,).

        Args:
            settings: Everything but the text that decides a vector.
            texts: The queries.
        """
        found: dict[str, _Vector] = {}
        with self._lock:
            for text in texts:
                key = _key(settings, text)
                if key not in self._vectors:
                    self._misses += 1
                    continue
                self._hits += 1
                self._vectors.move_to_end(key)
                found[text] = self._vectors[key]
        return found, [text for text in dict.fromkeys(texts) if text not in found]

    def complete(
        self,
        settings: Hashable,
        texts: Sequence[str],
        found: Mapping[str, _Vector],
        missing: Sequence[str],
        rows: _Vector,
    ) -> _Vector:
        """Keep what was embedded and return the vectors of all texts, in order.

        Args:
            settings: As in :meth:`look_up`.
            texts: At least one.
            found: What :meth:`look_up` gave for them.
            missing: The same.
            rows: A vector for each of ``missing``. Shape: (missing, dim).

        Returns:
            Shape: (texts, dim), the caller's own memory.
        """
        # Copies: a row is a view, and would keep the batch that it came from in memory.
        fresh = {text: row.copy() for text, row in zip(missing, rows, strict=True)}
        with self._lock:
            for text, row in fresh.items():
                key = _key(settings, text)
                self._vectors[key] = row
                self._vectors.move_to_end(key)
            while len(self._vectors) > self._max_entries:
                self._vectors.popitem(last=False)
        return np.stack([found[text] if text in found else fresh[text] for text in texts])

    def after_fork(self) -> None:
        """Make the lock anew, in a process that was forked while somebody may have held it."""
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[object, ...]:
        # Copies and other processes begin with an empty cache, because its contents are only useful where they were
        # made.
        return QueryVectorCache, (self._max_entries,)

    def clear(self) -> None:
        """Forget all vectors; the counters stay."""
        with self._lock:
            self._vectors.clear()

    def statistics(self) -> CacheStatistics:
        """Return the counters."""
        with self._lock:
            return CacheStatistics(self._hits, self._misses, len(self._vectors), self._max_entries)


def _key(settings: Hashable, text: str) -> tuple[Hashable, bytes]:
    # A cryptographic digest instead of the text, whose size has no bound.
    return settings, blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest()
