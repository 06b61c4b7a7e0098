"""Loads each model once per process and shares it: single-flight loading, reference counting.

Two adapters, a notebook cell run twice, or 32 threads that ask for the same key share one load and
one set of weights. A lease that is closed by its last holder frees the weights; a lease that is only
garbage collected leaves them idle, so that code which builds an adapter per request does not load
the model per request. :meth:`ModelRegistry.unload_idle` frees those.

A load can be interrupted at any step, and garbage is collected at any step of any thread. Therefore the holders of a
model are a set of weak references, each of which is removed with its lease by one C operation without a lock. The lock
for loading is a reentrant C lock, taken only by ``with``: an interrupted load leaves an entry without a model, which
the next waiting thread loads.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, cast

from rerank_plugins.engine import forking
from rerank_plugins.errors import EngineClosedError
from rerank_plugins.system.native import native_code

__all__ = ["MODELS", "Lease", "ModelRegistry"]


class _Closeable(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closeable)


@dataclass(slots=True, eq=False)
class _Entry:
    """A model that is loaded or being loaded.

    Attributes:
        turn: The lock of the thread that loads or frees it.
        value: The model; None before it is loaded.
        error: Why it could not be loaded; those who waited for that load get it too.
        is_over: Whether it was freed, or could not be loaded.
        holders: A mark for each lease.
    """

    turn: Any = field(default_factory=threading.RLock)
    value: _Closeable | None = None
    error: Exception | None = None
    is_over: bool = False
    holders: set[weakref.ref[Any]] = field(default_factory=set)


class Lease(Generic[T]):
    """A share in a loaded model, given back by ``close()`` or by garbage collection."""

    def __init__(self, registry: ModelRegistry, key: Hashable, entry: _Entry) -> None:
        self._registry, self._key, self._entry = registry, key, entry
        self._is_closed = False
        # Garbage collection takes the mark out by one C operation; weakref.finalize is Python and can be interrupted.
        self._mark = weakref.ref(self, entry.holders.discard)
        entry.holders.add(self._mark)

    @property
    def value(self) -> T:
        """The loaded model.

        Raises:
            EngineClosedError: The lease was closed.
        """
        if self._is_closed or self._entry.value is None:
            msg = "this object was closed; create a new one"
            raise EngineClosedError(msg)
        return cast("T", self._entry.value)

    @property
    def is_closed(self) -> bool:
        """Whether ``close()`` was called."""
        return self._is_closed

    def another(self) -> Lease[T]:
        """Return another share in the same model, which must be closed separately.

        Raises:
            EngineClosedError: The lease was closed.
        """
        with self._entry.turn:
            _ = self.value
            return Lease(self._registry, self._key, self._entry)

    def close(self) -> None:
        """Give the share back; the last holder's call frees the weights. Idempotent, and goes on if interrupted."""
        self._is_closed = True
        self._registry._give_back(self._key, self._entry, self._mark)


class ModelRegistry:
    """Loaded models by key."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry] = {}

    def acquire(self, key: Hashable, load: Callable[[], T]) -> Lease[T]:
        """Return a share in the model of this key. It is loaded if it is not in memory.

        Args:
            key: The resolved configuration: equal keys share weights.
            load: Called at most once at a time per key. If it raises, every caller that waited for it gets the error
                and the next call tries again. If it is interrupted (Ctrl-C), one of those who waited loads.
        """
        forking.watch(self)
        while True:
            entry = self._entries.setdefault(key, _Entry())
            lease: Lease[T] = Lease(self, key, entry)
            with entry.turn:
                if entry.is_over or entry.error is not None:
                    # A thread that freed it, or failed to load it, may have been interrupted before this.
                    self._remove(key, entry)
                if entry.error is not None:
                    raise entry.error
                if not entry.is_over:
                    self._load(key, entry, load)
                    return lease

    def unload_idle(self) -> int:
        """Free every model without a holder; return how many were freed."""
        return sum(self._free(key, entry) for key, entry in list(self._entries.items()) if entry.value is not None)

    def loaded(self) -> list[object]:
        """Return the models that are in memory now, held or idle."""
        return [entry.value for entry in list(self._entries.values()) if entry.value is not None]

    def after_fork(self) -> None:
        """Reset locks and unfinished loads in a forked process, which has no other threads."""
        self._entries = {key: entry for key, entry in self._entries.items() if entry.value is not None}
        for entry in self._entries.values():
            entry.turn = threading.RLock()

    def __len__(self) -> int:
        return len(self._entries)

    def _load(self, key: Hashable, entry: _Entry, load: Callable[[], _Closeable]) -> None:
        if entry.value is not None:
            return
        try:
            with native_code():
                made = load()
        except Exception as error:
            entry.error = error
            self._remove(key, entry)
            raise
        if entry.value is None:
            entry.value = made
        else:
            # A signal handler requested the same model during this load.
            made.close()

    def _remove(self, key: Hashable, entry: _Entry) -> None:
        """Remove an entry. Its lock is held, so no other thread can do the same."""
        if self._entries.get(key) is entry:
            self._entries.pop(key, None)

    def _give_back(self, key: Hashable, entry: _Entry, mark: weakref.ref[Any]) -> None:
        entry.holders.discard(mark)
        if not entry.holders:
            self._free(key, entry)

    def _free(self, key: Hashable, entry: _Entry) -> bool:
        """Free a model unless it has a holder; return whether it was freed."""
        with entry.turn:
            if entry.holders or entry.value is None:
                return False
            entry.is_over = True
            self._remove(key, entry)
            entry.value.close()
            # Last, so that an interrupted close can be repeated.
            entry.value = None
            return True


MODELS = ModelRegistry()
"""The process's loaded models, shared by both frameworks and every facade."""
