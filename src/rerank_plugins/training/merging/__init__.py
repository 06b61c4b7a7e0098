"""A tuned model averaged with the one it started from, so that general quality survives (LM-Cocktail)."""

from __future__ import annotations

from rerank_plugins.training.merging.merge import merge_models
from rerank_plugins.training.merging.settings import MergeResult, MergeSettings, WeightTrial

__all__ = ["MergeResult", "MergeSettings", "WeightTrial", "merge_models"]
