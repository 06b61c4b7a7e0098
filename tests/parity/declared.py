"""Which comparison each family of the catalog has: declared on the test that makes it, checked when the tests ran.

A test under ``@parity(...)`` compares scores or vectors with a reference, on a tiny checkpoint of the families'
architecture: live, in the same process, or with goldens of a release. ``test_declared.py`` fails for a family whose
``reference`` nobody compares with; a session in which comparisons of a family ran and none passed on its architecture
fails at its end (``account.py``).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import transformers

from rerank_plugins.catalog.families import FAMILIES
from rerank_plugins.catalog.family import Family
from rerank_plugins.catalog.spec import ModelKind

__all__ = [
    "Comparison",
    "Outcome",
    "declared_in",
    "families_compared",
    "missing_references",
    "modules",
    "not_compared",
    "parity",
    "references_of",
]

NEWER = {"gte": "GteConfig", "modernbert": "ModernBertConfig", "qwen3": "Qwen3Config"}
"""Architectures that an older transformers lacks, where their tests build another one or are skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a test compares.

    Attributes:
        kind: Rerankers' scores or embedders' vectors.
        families: Short names of the families that it speaks for.
        architectures: ``model_type`` of the checkpoints that it opens (the first of ``architectures`` without one).
        reference: Whose numbers ours must equal; a version means goldens of that release, or that release itself.
    """

    kind: ModelKind
    families: tuple[str, ...]
    architectures: tuple[str, ...]
    reference: str

    def is_of(self, family: Family) -> bool:
        """Return whether it speaks for a family of the catalog."""
        facts = family.facts
        is_like = (self.kind, True) == (facts.kind, facts.family in self.families)
        return is_like and family.architecture in self.architectures and self.reference in references_of(family)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one run of a comparison ended, and the architectures of the checkpoints that it opened."""

    comparison: Comparison
    outcome: str
    opened: frozenset[str] = frozenset()

    @classmethod
    def reported(cls, outcome: str, value: Mapping[str, Any]) -> Outcome:
        """Return what a report says: a comparison's fields, perhaps as lists, and what was opened."""
        fields = {name: tuple(found) if isinstance(found, list) else found for name, found in value.items()}
        opened = frozenset(fields.pop("opened"))
        return cls(comparison=Comparison(**fields), outcome=outcome, opened=opened)


def families_compared() -> list[Family]:
    """Return the families of the catalog that have a reference."""
    return [family for family in FAMILIES if family.facts.reference]


def parity(*families: str, kind: ModelKind, architectures: Sequence[str], reference: str) -> pytest.MarkDecorator:
    """Declare on a test that it compares models of these families with their reference."""
    return pytest.mark.parity(
        Comparison(kind=kind, families=families, architectures=tuple(architectures), reference=reference)
    )


def references_of(family: Family) -> tuple[str, ...]:
    """Return what a family says that it is compared with, each part of a list on its own."""
    whole = family.facts.reference
    return tuple(dict.fromkeys([whole, *whole.split(", ")])) if whole else ()


def missing_references(family: Family, comparisons: Sequence[Comparison]) -> list[str]:
    """Return the references that no comparison of the family's architecture has."""
    whole, *parts = references_of(family)
    found = {one.reference for one in comparisons if one.is_of(family)}
    return [] if whole in found else [part for part in parts or [whole] if part not in found]


def not_compared(families: Sequence[Family], outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Return the families whose comparisons ran, none of them with success on the family's architecture."""
    wanting = {}
    for family in families:
        if family.architecture in NEWER and not hasattr(transformers, NEWER[family.architecture]):
            continue
        ran = [one for one in outcomes if one.comparison.is_of(family)]
        if ran and not any(one.outcome == "passed" and family.architecture in one.opened for one in ran):
            wanting[f"{family.facts.kind} {family.facts.id}"] = ran
    return wanting


def comparisons_of(thing: Any) -> list[Comparison]:
    """Return what is declared on a test function."""
    return [mark.args[0] for mark in getattr(thing, "pytestmark", []) if mark.name == "parity"]


def declared_in(module: ModuleType) -> list[Comparison]:
    """Return what is declared on the functions of a module that pytest takes for tests."""
    return [
        comparison
        for name, thing in vars(module).items()
        if name.startswith("test_") and callable(thing)
        for comparison in comparisons_of(thing)
    ]


def modules() -> Iterator[ModuleType]:
    """Yield the test modules of this folder; those whose peer is not installed skip themselves."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        try:
            yield importlib.import_module(path.stem)
        except pytest.skip.Exception:
            continue
