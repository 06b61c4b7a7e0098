"""The known models by id: the bundled ones, and those that other packages register.

A package adds models with an entry point of the group ``rerank_plugins.models`` that resolves to a list of
:class:`~rerank_plugins.catalog.spec.ModelSpec` or :class:`~rerank_plugins.catalog.family.Family` objects, or to a
callable that returns one.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import TYPE_CHECKING

from rerank_plugins.catalog.families import EMBEDDERS, RERANKERS
from rerank_plugins.catalog.family import Family
from rerank_plugins.catalog.plugins import plugins_of
from rerank_plugins.catalog.spec import ModelKind, ModelSpec
from rerank_plugins.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ENTRY_POINT_GROUP", "find_by_id", "find_by_name", "known_models", "specs_of_kind"]

ENTRY_POINT_GROUP = "rerank_plugins.models"


@lru_cache(maxsize=1)
def known_models() -> Mapping[tuple[ModelKind, str], ModelSpec]:
    """Return every known model by (kind, id), bundled ones first.

    An entry point that cannot be loaded, or gives something else, or a model that is known already, is skipped with a
    warning; ``rerank-plugins doctor`` lists it.
    """
    table = {(spec.kind, spec.id): spec for spec in (*RERANKERS, *EMBEDDERS)}

    def add(point: EntryPoint) -> None:
        loaded = point.load()
        specs = _checked(loaded() if callable(loaded) else loaded, origin=point.value)
        added = {(spec.kind, spec.id): spec for spec in specs}
        if len(added) < len(specs) or not added.keys().isdisjoint(table):
            known = next((one for one in specs if (one.kind, one.id) in table), specs[-1])
            msg = f"entry point {point.value!r} registers {known.kind} {known.id!r}, which is already known"
            raise ModelError(msg)
        table.update(added)

    plugins_of(ENTRY_POINT_GROUP, add)
    return MappingProxyType(table)


def find_by_id(name: str, *, kind: ModelKind) -> ModelSpec | None:
    """Return the model that the hub knows by this id; the hub ignores the case of organisation and name."""
    listed = known_models().get((kind, name))
    if listed is not None or "/" not in name:
        return listed
    wanted = name.casefold()
    same = (spec for spec in specs_of_kind(kind) if wanted in map(str.casefold, (spec.id, *spec.aliases)))
    return next(same, None)


def specs_of_kind(kind: ModelKind) -> list[ModelSpec]:
    """Return the known models of one kind, in catalog order."""
    return [spec for spec in known_models().values() if spec.kind == kind]


def find_by_name(name: str, *, kind: ModelKind) -> ModelSpec | None:
    """Return the model one of whose ids is ``name``, or ends in ``/name``.

    The comparison is of the whole name and ignores case; a part of a name never decides.
    """
    wanted = name.casefold()
    for spec in specs_of_kind(kind):
        ids = [known.casefold() for known in (spec.id, *spec.aliases)]
        if wanted in (*ids, *(known.rsplit("/", 1)[-1] for known in ids)):
            return spec
    return None


def _checked(loaded: object, *, origin: str) -> list[ModelSpec]:
    specs: list[ModelSpec] = []
    for one in loaded if isinstance(loaded, Iterable) else [loaded]:
        if not isinstance(one, (ModelSpec, Family)):
            msg = f"entry point {origin!r} must give ModelSpec objects or families of them, got {type(one).__name__}"
            raise ModelError(msg)
        specs += one.specs if isinstance(one, Family) else [one]
    return specs
