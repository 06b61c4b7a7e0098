"""Backends that are opened by name: ``Reranker("acme:large")``, in both adapters and on the command line too."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

from rerank_plugins.arguments import checked_call
from rerank_plugins.backends.protocol import PairScorer
from rerank_plugins.catalog.plugins import plugins_of
from rerank_plugins.errors import InvalidInputError

__all__ = ["BackendOpener", "backend_names", "opener_of", "register_backend"]

GROUP = "rerank_plugins.backends"
"""Entry points: the name is what stands before the colon, the value a callable, see :data:`BackendOpener`."""

BackendOpener = Callable[[str], PairScorer]
"""Gets what stands behind the colon (``large``; empty without one) and gives a backend."""

_NAME = re.compile(r"[a-z][a-z0-9_.-]+")
_OPENERS: dict[str, BackendOpener] = {}


@checked_call()
def register_backend(name: str, opener: BackendOpener) -> None:
    """Let ``Reranker("name")`` and ``Reranker("name:rest")`` open a backend, in this process.

    A distribution registers by an entry point of the group ``rerank_plugins.backends`` instead.

    Args:
        name: At least two characters: a lower-case letter, then those, digits, ``_``, ``.`` or ``-``.
        opener: Gets ``rest`` (empty without a colon) and gives a :class:`~rerank_plugins.backends.protocol.PairScorer`.

    Raises:
        InvalidInputError: The name cannot be one.
    """
    if _NAME.fullmatch(name) is None:
        msg = f"a backend's name is a lower-case letter and then letters, digits, '_', '.' or '-'; got {name!r}"
        raise InvalidInputError(msg)
    _OPENERS[name] = opener


def opener_of(model: str | Path) -> Callable[[], PairScorer] | None:
    """Return what opens the backend of a name; None if the name is no backend's.

    Raises:
        InvalidInputError: (by what is returned) The opener gives something else than a backend.
    """
    if not isinstance(model, str):
        return None
    name, _, rest = model.partition(":")
    if _NAME.fullmatch(name) is None:
        return None
    found = _OPENERS.get(name) or next(iter(plugins_of(GROUP, _loaded, name=name)), None)
    return None if found is None else lambda: _opened(found, name, rest)


def backend_names() -> list[str]:
    """Return the names of all backends, registered in this process or by an installed distribution."""
    return sorted({*_OPENERS, *plugins_of(GROUP, lambda point: point.name)})


def _loaded(point: EntryPoint) -> BackendOpener:
    opener = point.load()
    if not callable(opener):
        msg = f"must be a function that gets a name and gives a backend, got {type(opener).__name__}"
        raise TypeError(msg)
    made: BackendOpener = opener
    return made


def _opened(opener: BackendOpener, name: str, rest: str) -> PairScorer:
    backend: object = opener(rest)
    if not isinstance(backend, PairScorer):
        msg = f"the opener of backend {name!r} gave {type(backend).__name__}, which has not the methods of a PairScorer"
        raise InvalidInputError(msg)
    return backend
