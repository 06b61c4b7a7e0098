"""Composed rerankers by name: ``Reranker("cascade:...")`` and ``Reranker("ensemble:...")``, wherever a model is named.

The entry points of this distribution name these functions.
"""

from __future__ import annotations

from rerank_plugins.composed.cascade import CascadeScorer
from rerank_plugins.composed.ensemble import EnsembleScorer
from rerank_plugins.composed.files import SUFFIXES, read_composed
from rerank_plugins.composed.naming import read_cascade, read_ensemble

__all__ = ["open_cascade", "open_ensemble"]


def open_cascade(text: str) -> CascadeScorer:
    """Open ``cascade:TEXT``: stages as :mod:`rerank_plugins.composed.naming` reads them, or a file."""
    if text.endswith(SUFFIXES):
        stages, settings = read_composed(text, what="stages", settings=("budget_ms",))
        return CascadeScorer(stages, **settings)
    stages, budget_ms = read_cascade(text)
    return CascadeScorer(stages, budget_ms=budget_ms)


def open_ensemble(text: str) -> EnsembleScorer:
    """Open ``ensemble:TEXT``: members as :mod:`rerank_plugins.composed.naming` reads them, or a file."""
    if text.endswith(SUFFIXES):
        members, settings = read_composed(text, what="members", settings=("fusion", "k", "bias"))
        return EnsembleScorer(members, **settings)
    members, fusion = read_ensemble(text)
    return EnsembleScorer(members) if fusion is None else EnsembleScorer(members, fusion=fusion)
