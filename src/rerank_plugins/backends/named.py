"""Backends that are opened by name: ``Reranker("acme:large")``, in both adapters and on the command line too."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rerank_plugins.backends.protocol import PairScorer
from rerank_plugins.backends.vectors import TextEmbedder
from rerank_plugins.catalog.names import existing_folder
from rerank_plugins.catalog.plugins import BACKEND_GROUPS, plugins_of
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import shown
from rerank_plugins.errors import InvalidInputError, RerankPluginsError, UnsupportedModelError

__all__ = [
    "BackendOpener",
    "FileOpener",
    "backend_names",
    "is_service",
    "opener_of",
    "paths_of",
    "refuse_backend",
    "register_backend",
]

BackendOpener = Callable[[str], object]
"""Gets the text after the colon (``large``; empty without one) and returns a backend: a
:class:`~rerank_plugins.backends.protocol.PairScorer`, or for embedders a
:class:`~rerank_plugins.backends.vectors.TextEmbedder`."""


@dataclass(frozen=True, slots=True)
class FileOpener:
    """An opener of backends that are made of files: who opens a name again after one has changed gets another backend.

    Attributes:
        opens: The opener.
        paths: Gets what it gets, and returns the files and folders.
    """

    opens: BackendOpener
    paths: Callable[[str], Iterable[Path]]

    def __call__(self, text: str) -> object:
        """Open a backend."""
        return self.opens(text)


_PROTOCOLS: Mapping[ModelKind, type] = MappingProxyType({"reranker": PairScorer, "embedder": TextEmbedder})

_NAME = re.compile(r"[a-z][a-z0-9_.-]+")
_OPENERS: dict[tuple[ModelKind, str], BackendOpener] = {}


@checked_call()
def register_backend(name: str, opener: BackendOpener, *, kind: ModelKind = "reranker") -> None:
    """Let ``Reranker("name")`` and ``Reranker("name:rest")`` open a backend, in this process.

    A distribution registers by an entry point of the group ``rerank_plugins.rerankers``, or
    ``rerank_plugins.embedders``, instead.

    Args:
        name: At least two characters: a lower-case letter, then those, digits, ``_``, ``.`` or ``-``.
        opener: Gets ``rest`` (empty without a colon) and returns a backend, see :data:`BackendOpener`.
        kind: Whether the name is one for ``Reranker`` or for ``Embedder``.

    Raises:
        InvalidInputError: The name has other characters, or only one.
    """
    if _NAME.fullmatch(name) is None:
        msg = f"a backend's name is a lower-case letter and then letters, digits, '_', '.' or '-'; got {name!r}"
        raise InvalidInputError(msg)
    _OPENERS[kind, name] = opener


def opener_of(model: str | Path, *, kind: ModelKind) -> Callable[[], Any] | None:
    """Return what opens the backend of a name; None if the name is no backend's.

    Raises:
        InvalidInputError: (by what is returned) The opener gives something else than a backend.
    """
    found = _registered(model, kind=kind)
    if found is None:
        return None
    name, _, rest = str(model).partition(":")
    return lambda: _opened(found, name, rest, kind=kind)


def paths_of(model: str | Path, *, kind: ModelKind) -> list[Path]:
    """Return the files and folders that a model of this name is made of, absolute; none if they are not known here.

    Raises:
        InvalidInputError: It is composed, and its text or file cannot be read.
    """
    # To look a name up takes milliseconds, and one without a colon names no files.
    found = _registered(model, kind=kind) if ":" in str(model) else None
    if isinstance(found, FileOpener):
        return [path.expanduser().resolve() for path in found.paths(str(model).partition(":")[2])]
    folder = existing_folder(model) if found is None else None
    return [] if folder is None else [folder]


@checked_call()
def backend_names(*, kind: ModelKind = "reranker") -> list[str]:
    """Return the names of all backends of a kind: built in, registered here, or by an installed distribution."""
    here = {name for of, name in (*_OPENERS, *_BUILT_IN) if of == kind}
    return sorted(here | set(plugins_of(BACKEND_GROUPS[kind], lambda point: point.name)))


def refuse_backend(model: str | Path, *, kind: ModelKind) -> None:
    """Raise UnsupportedModelError for a backend's name where the files of a checkpoint are needed."""
    if opener_of(model, kind=kind) is not None:
        msg = (
            f"{kind} {str(model)!r} is a backend of texts and has no checkpoint here, which training, averaging and "
            "exporting need: name a folder, a hub id or a bundled model"
        )
        raise UnsupportedModelError(msg)


def is_service(model: str | Path, *, kind: ModelKind) -> bool:
    """Return whether calls of a model of this name go to a server elsewhere (one of this distribution's services)."""
    name = str(model).partition(":")[0]
    return name in _SERVICES[kind].split() or (kind, name) == ("reranker", "openai-chat")


def _registered(model: str | Path, *, kind: ModelKind) -> BackendOpener | None:
    name = model.partition(":")[0] if isinstance(model, str) else ""
    if _NAME.fullmatch(name) is None:
        return None
    found = _OPENERS.get((kind, name)) or _BUILT_IN.get((kind, name))
    return found or next(iter(plugins_of(BACKEND_GROUPS[kind], _loaded, name=name)), None)


def _openai_chat(rest: str) -> object:
    from rerank_plugins.backends.chat_names import open_openai_chat

    return open_openai_chat(rest)


def _local_chat(rest: str) -> object:
    from rerank_plugins.backends.chat_names import open_local_chat

    return open_local_chat(rest)


def _remote(kind: ModelKind, service: str) -> BackendOpener:
    def opener(rest: str) -> object:
        from rerank_plugins.backends.remote_names import open_remote

        return open_remote(kind, service, rest)

    return opener


_SERVICES: Mapping[ModelKind, str] = MappingProxyType(
    {
        "reranker": "cohere dashscope infinity jina nvidia rerank-plugins siliconflow tei vllm voyage xinference",
        "embedder": "cohere dashscope infinity jina openai rerank-plugins siliconflow tei vllm voyage xinference",
    }
)

_BUILT_IN: Mapping[tuple[ModelKind, str], BackendOpener] = MappingProxyType(
    {
        ("reranker", "openai-chat"): _openai_chat,
        ("reranker", "local-chat"): FileOpener(
            _local_chat, lambda rest: paths_of(Path(rest.partition("?")[0]), kind="reranker")
        ),
        **{(kind, name): _remote(kind, name) for kind, names in _SERVICES.items() for name in names.split()},
    }
)
"""Backends of this distribution; their modules are imported when one is opened."""


def _loaded(point: EntryPoint) -> BackendOpener:
    opener = point.load()
    if not callable(opener):
        msg = f"must be a function that gets a name and gives a backend, got {type(opener).__name__}"
        raise TypeError(msg)
    made: BackendOpener = opener
    return made


def _opened(opener: BackendOpener, name: str, rest: str, *, kind: ModelKind) -> object:
    try:
        backend = opener(rest)
    except RerankPluginsError:
        raise
    except Exception as error:
        msg = f"{kind} {name!r} could not be opened with {rest!r} ({type(error).__name__}: {error})"
        raise UnsupportedModelError(msg) from error
    wanted = _PROTOCOLS[kind]
    if not isinstance(backend, wanted) or isinstance(backend, type):
        msg = f"the opener of {kind} {name!r} gave {shown(backend)}, which has not the methods of a {wanted.__name__}"
        raise InvalidInputError(msg)
    return backend
