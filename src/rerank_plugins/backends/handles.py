"""Objects that hold a share in a loaded model: how they are copied, pickled and closed.

Frameworks copy what they are given, at any depth, and send it to other processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.engine.registry import Lease
from rerank_plugins.errors import NotPicklableError
from rerank_plugins.protocols import PrefixSharing
from rerank_plugins.types import EngineOptions, EngineStats, SourceOptions

__all__ = ["ModelHandle", "closed_on_error", "opened_with"]

_Handle = TypeVar("_Handle", bound="ModelHandle")


class Leased(Protocol):
    """What a lease gives a share in: a model in memory, or a backend that runs elsewhere."""

    @property
    def device(self) -> str:
        """Where it runs."""
        ...

    @property
    def dtype(self) -> str:
        """Precision of the backbone; empty if that is not known here."""
        ...

    @property
    def runtime(self) -> str:
        """What runs it: ``torch`` or ``onnx``; empty for a backend elsewhere."""
        ...

    @property
    def is_padded(self) -> bool:
        """Whether batches are padded."""
        ...

    @property
    def padding_reason(self) -> str:
        """Why they are; empty if they are not, or if that is not known."""
        ...

    @property
    def prefix_sharing(self) -> PrefixSharing:
        """Whether what inputs begin with is computed once."""
        ...

    def stats(self) -> EngineStats:
        """Return what it has done."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


class ModelHandle:
    """A share in a loaded model.

    ``copy.copy`` and ``copy.deepcopy`` give another object on the same weights with a share of its own: closing one
    leaves the other open. Pickling keeps the options; unpickling opens the model again with them, where that happens,
    and shares the weights if they are there; what a subclass adds is its own to keep.
    """

    _name: str
    _spec: ModelSpec
    _device: str
    _dtype: str
    _engine: EngineOptions
    _lease: Lease[Any]
    _opened_with: tuple[type[ModelHandle], dict[str, Any]] | None

    @property
    def spec(self) -> ModelSpec:
        """What is known about the model, with the checkpoint's own files applied."""
        return self._spec

    @property
    def model(self) -> str:
        """The model as it was asked for: a hub id, a folder or an alias."""
        return self._name

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self._device

    @property
    def dtype(self) -> str:
        """Precision of the backbone; heads and pooling run in float32; empty for a backend of texts."""
        return self._dtype

    @property
    def runtime(self) -> str:
        """What runs the checkpoint: ``torch`` or ``onnx`` (ONNX Runtime); empty for a backend of texts."""
        return self._leased.runtime

    @property
    def engine(self) -> EngineOptions:
        """How calls are run."""
        return self._engine

    @property
    def source(self) -> SourceOptions:
        """Where the model's files came from, as it was asked for; the defaults if another library loaded it."""
        source = None if self._opened_with is None else self._opened_with[1].get("source")
        return source or SourceOptions()

    def stats(self) -> EngineStats:
        """Return what the model has done since it was loaded, for every object that shares it.

        Raises:
            EngineClosedError: ``close()`` was called.
        """
        return self._leased.stats()

    @property
    def _leased(self) -> Leased:
        leased: Leased = self._lease.value
        return leased

    def close(self) -> None:
        """Give the model back; the last holder's call frees the weights. Idempotent."""
        self._lease.close()

    @property
    def is_named(self) -> bool:
        """Whether ``model`` opens it again: not if a backend was passed in memory, or another library loaded it."""
        made_with = vars(self).get("_opened_with")
        backend = None if made_with is None else made_with[1].get("backend")
        return made_with is not None and (backend is None or isinstance(backend, str))

    @property
    def is_reopenable(self) -> bool:
        """Whether the model can be opened again by its name: not if another library loaded it."""
        return vars(self).get("_opened_with") is not None

    def __copy__(self: _Handle) -> _Handle:
        made = type(self).__new__(type(self))
        vars(made).update(vars(self))
        made._lease = self._lease.another()
        made._become_independent()
        return made

    def __deepcopy__(self: _Handle, _memo: dict[int, Any]) -> _Handle:
        return self.__copy__()

    def __reduce__(self) -> tuple[Any, ...]:
        made_with = vars(self).get("_opened_with")
        if made_with is None:
            msg = (
                f"cannot pickle this {type(self).__name__}: another library loaded its model, in this process. Create "
                "one by name where it is needed; within this process copy.deepcopy shares the weights"
            )
            raise NotPicklableError(msg)
        return _reopened, (type(self), *made_with)

    def _become_independent(self) -> None:
        """Make what a copy must not have in common with its original; the lease is its own already."""
        raise NotImplementedError


@contextmanager
def closed_on_error(opened: Sequence[ModelHandle]) -> Iterator[None]:
    """Close the models that a block has put into ``opened`` if it fails."""
    try:
        yield
    except BaseException:
        for model in opened:
            model.close()
        raise


def opened_with(opener: type[ModelHandle], arguments: Mapping[str, Any]) -> tuple[type[ModelHandle], dict[str, Any]]:
    """Return what opens a model again: a class, and its constructor's ``locals()`` before it does anything."""
    return opener, {name: value for name, value in arguments.items() if name != "self"}


def _reopened(owner: type[ModelHandle], opener: type[ModelHandle], options: dict[str, Any]) -> ModelHandle:
    # The class that knows the options makes the object, whatever the constructor of a subclass takes.
    made = owner.__new__(owner)
    opener.__init__(made, **options)
    return made
