"""Any training by its settings."""

from __future__ import annotations

from typing import Any

from rerank_plugins.training.colberts import COLBERT
from rerank_plugins.training.course import run_training
from rerank_plugins.training.embedders import EMBEDDER
from rerank_plugins.training.kind import Kind
from rerank_plugins.training.planning import plan_training
from rerank_plugins.training.reranking import RERANKER
from rerank_plugins.training.results import TrainingPlan, TrainingResult

__all__ = ["plan_any", "train_any"]

_KINDS: dict[str, Kind] = {"reranker": RERANKER, "embedder": EMBEDDER, "colbert": COLBERT}


def train_any(settings: Any) -> TrainingResult | None:
    """Train what the settings are of; see :func:`~rerank_plugins.training.train_reranker`."""
    return run_training(settings, _KINDS[settings.task])


def plan_any(settings: Any) -> TrainingPlan:
    """Return what :func:`train_any` would do; nothing of it is kept."""
    return plan_training(settings, _KINDS[settings.task])
