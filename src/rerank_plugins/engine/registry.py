"""Each model is loaded once per process, whoever asks: single-flight, reference-counted.

Two adapters, a notebook cell run twice, or 32 threads that ask for the same key share one load and
one set of weights. A lease that is closed by its last holder frees the weights; a lease that is only
garbage collected leaves them idle, so that code which builds an adapter per request does not load
the model per request. :meth:`ModelRegistry.unload_idle` frees those.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, cast

from rerank_plugins.engine import forking
from rerank_plugins.errors import EngineClosedError

__all__ = ["MODELS", "Lease", "ModelRegistry"]


class _Closeable(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closeable)


@dataclass(slots=True, eq=False)
class _Entry:
    loading: Future[_Closeable]
    n_leases: int = 0


class Lease(Generic[T]):
    """A share in a loaded model. ``close()`` gives it back; garbage collection does too."""

    def __init__(self, registry: ModelRegistry, key: Hashable, entry: _Entry) -> None:
        self._value: T | None = cast("T", entry.loading.result())
        self._give_back = weakref.finalize(self, registry._release, key, entry, unload=False)
        # At interpreter exit the process frees everything; loading order makes close() unsafe then.
        self._give_back.atexit = False
        self._unload: Callable[[], None] = lambda: registry._release(key, entry, unload=True)
        self._another: Callable[[], Lease[T]] = lambda: registry._share(key, entry)

    @property
    def value(self) -> T:
        """The loaded model.

        Raises:
            EngineClosedError: The lease was closed.
        """
        if self._value is None:
            msg = "this object was closed; create a new one"
            raise EngineClosedError(msg)
        return self._value

    def another(self) -> Lease[T]:
        """Return a further share in the same model, which is closed by itself.

        Raises:
            EngineClosedError: The lease was closed.
        """
        _ = self.value
        return self._another()

    @property
    def is_closed(self) -> bool:
        """Whether ``close()`` was called."""
        return self._value is None

    def close(self) -> None:
        """Give the share back; the last holder's call frees the weights. Idempotent."""
        if self._give_back.detach() is None:
            return
        self._value = None
        self._unload()


class ModelRegistry:
    """Loaded models by key."""

    def __init__(self) -> None:
        # Reentrant: a lease's finalizer may run in the middle of any of these methods.
        self._lock = threading.RLock()
        self._entries: dict[Hashable, _Entry] = {}

    def acquire(self, key: Hashable, load: Callable[[], T]) -> Lease[T]:
        """Return a share in the model of this key, loading it if nobody has.

        Args:
            key: The resolved configuration: equal keys share weights.
            load: Called at most once at a time per key, outside the lock. If it raises, every
                caller that waited for it gets the error and the next call tries again.
        """
        forking.watch(self)
        with self._lock:
            entry = self._entries.get(key)
            mine = entry is None
            if entry is None:
                entry = self._entries[key] = _Entry(Future())
            entry.n_leases += 1
        if mine:
            self._load(key, entry, load)
        try:
            return Lease(self, key, entry)
        except BaseException:
            self._release(key, entry, unload=False)
            raise

    def unload_idle(self) -> int:
        """Free every model that nobody holds; return how many there were."""
        with self._lock:
            idle = [key for key, entry in self._entries.items() if entry.n_leases == 0 and entry.loading.done()]
            entries = [self._entries.pop(key) for key in idle]
        for entry in entries:
            entry.loading.result().close()
        return len(entries)

    def loaded(self) -> list[object]:
        """Return the models that are in memory now, held or idle."""
        with self._lock:
            entries = [entry.loading for entry in self._entries.values() if entry.loading.done()]
        return [loading.result() for loading in entries if loading.exception() is None]

    def after_fork(self) -> None:
        """Forget, in a forked process, who held the lock and which loads were under way: their threads are not here."""
        self._lock = threading.RLock()
        self._entries = {key: entry for key, entry in self._entries.items() if entry.loading.done()}

    def __len__(self) -> int:
        with self._lock:
            return len(self._entries)

    def _load(self, key: Hashable, entry: _Entry, load: Callable[[], _Closeable]) -> None:
        try:
            entry.loading.set_result(load())
        except BaseException as error:
            with self._lock:
                self._entries.pop(key, None)
            entry.loading.set_exception(error)
            if not isinstance(error, Exception):
                raise

    def _share(self, key: Hashable, entry: _Entry) -> Lease[T]:
        with self._lock:
            # Zero here means that the last holder closes the model at this moment.
            if entry.n_leases:
                entry.n_leases += 1
                return Lease(self, key, entry)
        msg = "this object was closed; create a new one"
        raise EngineClosedError(msg)

    def _release(self, key: Hashable, entry: _Entry, *, unload: bool) -> None:
        with self._lock:
            entry.n_leases -= 1
            last = entry.n_leases == 0 and self._entries.get(key) is entry
            if not (last and unload):
                return
            del self._entries[key]
        entry.loading.result().close()


MODELS = ModelRegistry()
"""The process's loaded models, shared by both frameworks and every facade."""
