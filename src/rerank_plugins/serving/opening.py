"""What a model can be served as, and how a request changes the way in which long documents are read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rerank_plugins.backends.named import opener_of
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.catalog.scorer_traits import STATIC
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.catalog.table import find_by_id
from rerank_plugins.errors import UnknownModelError, UnsupportedModelError
from rerank_plugins.serving.requests import Reading
from rerank_plugins.serving.settings import ModelPlan, ServeSettings
from rerank_plugins.types import EngineOptions, LongDocuments

__all__ = ["kinds_of", "long_documents_of", "options_of"]

_KINDS: tuple[ModelKind, ...] = ("reranker", "embedder")
_OF_THIS_MACHINE = ("device", "dtype", "layers", "prompt", "source")


def kinds_of(model: str, settings: ServeSettings) -> tuple[ModelKind, ...]:
    """Return what a model can be opened as; both for ``mini``, and for one with vectors of tokens.

    Raises:
        ModelError: It can be opened as neither.
    """
    listed = tuple(kind for kind in _KINDS if find_by_id(model, kind=kind) or opener_of(model, kind=kind))
    if listed:
        return listed
    try:
        found = resolve(model, kind="reranker", options=settings.reranker_options.get("source"))
    except (UnknownModelError, UnsupportedModelError) as no_reranker:
        try:
            resolve(model, kind="embedder", options=settings.embedder_options.get("source"))
        except (UnknownModelError, UnsupportedModelError):
            raise no_reranker from None
        return ("embedder",)
    return ("reranker",) if found.spec.late_interaction is None else _KINDS


def options_of(plan: ModelPlan, settings: ServeSettings, *, kind: ModelKind) -> dict[str, Any]:
    """Return the options of a model's facade, ``engine`` among them.

    A backend of texts has no device, layers or queue on this machine, and refuses options of them. What the server adds
    of its own accord is never for it; what was asked for is for the other models, and is refused where there is none.
    """
    if kind == "reranker":
        options = {**settings.reranker_options, "layers": settings.layers}
    else:
        options = dict(settings.embedder_options)
        if _is_table_beside_a_reranker(plan.model):
            # The precision is the reranker's: a table of vectors has one, and would refuse the other.
            options.pop("dtype", None)
    if not _is_named(plan):
        return options | {"engine": settings.engine}
    if all(map(_is_named, settings.models)):
        return options | {"engine": replace(settings.engine, max_waiting_tokens=EngineOptions().max_waiting_tokens)}
    return {name: value for name, value in options.items() if name not in _OF_THIS_MACHINE}


def _is_table_beside_a_reranker(model: str) -> bool:
    table = find_by_id(model, kind="embedder")
    return table is not None and table.scorer == STATIC and find_by_id(model, kind="reranker") is not None


def _is_named(plan: ModelPlan) -> bool:
    return any(opener_of(plan.model, kind=kind) is not None for kind in _KINDS)


def long_documents_of(use: Reading, default: LongDocuments) -> LongDocuments:
    """Return how long documents are read where a request says so."""
    strategy = default.strategy
    if use.windows is not None and use.windows != (strategy != "truncate"):
        strategy = "maxp" if use.windows else "truncate"
    overlap = default.overlap_tokens if use.overlap_tokens is None else use.overlap_tokens
    query = default.query_max_length if use.query_tokens is None else use.query_tokens
    return replace(default, strategy=strategy, overlap_tokens=overlap, query_max_length=query)
