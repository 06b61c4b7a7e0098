"""Composed rerankers by name: ``Reranker("cascade:...")`` and ``Reranker("ensemble:...")``, wherever a model is named.

The entry points of this distribution name these functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from rerank_plugins.backends.named import FileOpener, is_service, paths_of
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.composed.cascade import CascadeScorer
from rerank_plugins.composed.ensemble import EnsembleScorer
from rerank_plugins.composed.files import read_composed
from rerank_plugins.composed.members import Member, Stage
from rerank_plugins.composed.naming import SUFFIXES, read_cascade, read_ensemble

__all__ = ["asks_services", "open_cascade", "open_ensemble"]


def _cascade_of(text: str) -> CascadeScorer:
    stages, settings = _stages(text)
    return CascadeScorer(stages, **settings)


def _ensemble_of(text: str) -> EnsembleScorer:
    members, settings = _members(text)
    return EnsembleScorer(members, **settings)


def asks_services(model: str | Path, *, kind: ModelKind = "reranker") -> bool:
    """Return whether calls of a model of this name go to a server elsewhere: the model's own, or those of its parts.

    Raises:
        InvalidInputError: It is composed, and its text or file cannot be read.
    """
    head, _, rest = str(model).partition(":")
    if kind == "embedder" or head not in ("cascade", "ensemble", "cosine"):
        return is_service(model, kind=kind)
    if head == "cosine":
        return asks_services(rest, kind="embedder")
    parts: list[Any] = _stages(rest)[0] if head == "cascade" else _members(rest)[0]
    return any(isinstance(one.model, (str, Path)) and asks_services(one.model) for one in parts)


def _stages(text: str) -> tuple[list[Stage], dict[str, Any]]:
    if text.endswith(SUFFIXES):
        return read_composed(text, what="stages", settings=("budget_ms",))
    stages, budget_ms = read_cascade(text)
    return stages, {"budget_ms": budget_ms}


def _members(text: str) -> tuple[list[Member], dict[str, Any]]:
    if text.endswith(SUFFIXES):
        return read_composed(text, what="members", settings=("fusion", "k", "bias"))
    members, fusion = read_ensemble(text)
    return members, {} if fusion is None else {"fusion": fusion}


def _paths(text: str, parts: Sequence[Stage | Member]) -> Iterator[Path]:
    if text.endswith(SUFFIXES):
        yield Path(text)
    for one in parts:
        if isinstance(one.model, (str, Path)):
            yield from paths_of(one.model, kind="reranker")
        yield from (Path(named) for named in (one.calibration, one.options.get("peft_path")) if _is_path(named))


def _is_path(value: object) -> TypeGuard[str | Path]:
    return isinstance(value, (str, Path))


open_cascade = FileOpener(_cascade_of, lambda text: _paths(text, _stages(text)[0]))
"""Opens ``cascade:TEXT``: stages as :mod:`rerank_plugins.composed.naming` reads them, or a file."""

open_ensemble = FileOpener(_ensemble_of, lambda text: _paths(text, _members(text)[0]))
"""Opens ``ensemble:TEXT``: members as :mod:`rerank_plugins.composed.naming` reads them, or a file."""
