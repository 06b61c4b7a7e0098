"""Tuning of cascades: which stages, how deep, from labelled data and a budget of time.

:func:`tune` scores the candidates of each query once with each stage; every cascade of these stages is then arithmetic.
"""

from __future__ import annotations

from rerank_plugins.evaluation.tuning.results import CascadePoint, Measured, StageCost, Tuning
from rerank_plugins.evaluation.tuning.search import SearchOptions
from rerank_plugins.evaluation.tuning.tune import tune

__all__ = ["CascadePoint", "Measured", "SearchOptions", "StageCost", "Tuning", "tune"]
