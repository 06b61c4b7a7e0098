"""A share in a backend that is no checkpoint: opened by its name, or made by the caller."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rerank_plugins.backends.leased import LeasedBackend
from rerank_plugins.backends.named import opener_of
from rerank_plugins.backends.named_files import files_key
from rerank_plugins.backends.protocol import KnownEverywhere, PairScorer, SimplePairScorer
from rerank_plugins.backends.vectors import SimpleTextEmbedder, TextEmbedder
from rerank_plugins.catalog.spec import ModelKind, ModelSpec
from rerank_plugins.checks.kinds import shown
from rerank_plugins.embedding.kept import TokenVectorStore
from rerank_plugins.engine.registry import MODELS, Lease, ModelRegistry
from rerank_plugins.errors import InvalidInputError, RerankPluginsError
from rerank_plugins.types import EngineOptions, LayerOptions, SourceOptions

__all__ = ["lease_backend", "spec_of_backend"]

_PROTOCOLS: Mapping[ModelKind, tuple[type, type, str]] = MappingProxyType(
    {
        "reranker": (PairScorer, SimplePairScorer, "score, ascore"),
        "embedder": (TextEmbedder, SimpleTextEmbedder, "embed, aembed"),
    }
)

_LOCAL: Mapping[str, object] = {"device": None, "dtype": "auto", "layers": None, "prompt": None}
"""Options that say how a checkpoint is loaded and run here, with what stands for "not given"."""

_LOCAL_PARTS: Mapping[str, Collection[str]] = {
    "engine": [one.name for one in fields(EngineOptions) if one.name != "deadline_s"],
    "instruction": ["examples"],
    "long_documents": ["truncation"],
    "source": [one.name for one in fields(SourceOptions)],
}
"""Such fields of option objects."""


def lease_backend(
    options: Mapping[str, Any], *, default_model: str, kind: ModelKind
) -> Lease[LeasedBackend[Any]] | None:
    """Return a share in the backend to use; None if ``model`` names a checkpoint.

    Args:
        options: The facade's options by name, ``model`` and ``backend`` among them.
        default_model: The model of a caller who names none.
        kind: Whether it is to be a reranker's or an embedder's.

    Raises:
        InvalidInputError: ``backend`` is none, a model is named beside it, a name's opener gives something else, or an
            option was given that only checkpoints have; which is checked before anything is opened.
    """
    model, backend = options["model"], options["backend"]
    if backend is None or isinstance(backend, str):
        opener = opener_of(model, kind=kind)
        if opener is None:
            return None
        if backend is not None:
            msg = f"backend={backend!r} says what runs a checkpoint, and {model!r} is none: leave it out"
            raise InvalidInputError(msg)
        _check_options(str(model), options)
        key = ("backend", kind, model, *_files(str(model), kind))
        return MODELS.acquire(key, lambda: _leased(_with_spec(opener(), kind), is_owned=True))
    protocol, simple, methods = _PROTOCOLS[kind]
    if not isinstance(backend, protocol) or isinstance(backend, type):
        msg = (
            f"backend must have spec, device, {methods} and close, as {protocol.__module__}.{protocol.__name__} says, "
            f"got {shown(backend)}; derive it from {simple.__name__}"
        )
        raise InvalidInputError(msg)
    if model != default_model:
        msg = f"model={shown(model)} and a backend were given; the backend is the model, so leave model out"
        raise InvalidInputError(msg)
    _check_options(_with_spec(backend, kind).spec.id, options)
    # A registry of its own: nobody else can ask for this object by name, and its maker closes it.
    return ModelRegistry().acquire("backend", lambda: _leased(backend, is_owned=False))


def _files(model: str, kind: ModelKind) -> tuple[Hashable, ...]:
    try:
        return files_key(model, kind=kind)
    except (RerankPluginsError, RecursionError, OSError, TypeError, ValueError):
        return ()  # whatever is wrong with it, who opens it is told


def _leased(backend: Any, *, is_owned: bool) -> LeasedBackend[Any]:
    if isinstance(backend, KnownEverywhere):
        return LeasedBackend(backend, is_owned, identity=backend.identity)
    return LeasedBackend(backend, is_owned)


def _with_spec(backend: Any, kind: ModelKind) -> Any:
    """Return a backend whose spec is one of its kind, or raise InvalidInputError."""
    spec: object = backend.spec
    if not isinstance(spec, ModelSpec) or spec.kind != kind:
        found = f"one of a {spec.kind}" if isinstance(spec, ModelSpec) else shown(spec)
        msg = f"the spec of {shown(backend)} must be what {kind}_spec(...) gives, got {found}"
        raise InvalidInputError(msg)
    return backend


def spec_of_backend(model: str | Path, *, kind: ModelKind) -> ModelSpec | None:
    """Return what is known about the model of a backend that is opened by name; None if ``model`` is no such name."""
    lease = lease_backend({"model": model, "backend": None}, default_model="", kind=kind)
    if lease is None:
        return None
    spec: ModelSpec = lease.value.backend.spec
    lease.close()
    return spec


def _check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raise InvalidInputError if an option was given that only checkpoints on this machine have."""
    if options.get("layers") == LayerOptions():  # asks for nothing
        options = {**options, "layers": None}
    refused = [
        f"{option}={shown(options[option])}"
        for option, default in _LOCAL.items()
        if options.get(option, default) != default
    ]
    for option, names in _LOCAL_PARTS.items():
        value = options.get(option)
        if is_dataclass(value) and not isinstance(value, type):
            default = type(value)()
            found = {name: getattr(value, name) for name in names if getattr(value, name) != getattr(default, name)}
            refused += [f"{option}.{name}={shown(one)}" for name, one in found.items()]
    if isinstance(options.get("cache"), TokenVectorStore):
        refused.append(f"cache={options['cache']!r}")
    if refused:
        msg = (
            f"{', '.join(refused)}: only models that run on this machine have these, and {name!r} is a backend of "
            "texts. Leave them out; a backend's own options are given where it is made"
        )
        raise InvalidInputError(msg)
