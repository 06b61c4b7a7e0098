"""Training: data, settings, trainers, and what is measured before and after.

What reads, checks and converts data needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rerank_plugins.checks.optional import imported_on_use
from rerank_plugins.training.settings import (
    DataSettings,
    ModelSettings,
    RerankerTrainingSettings,
    RunSettings,
    reranker_settings,
)
from rerank_plugins.training.settings_file import read_settings_file

if TYPE_CHECKING:
    from rerank_plugins.training.planning import plan_reranker_training
    from rerank_plugins.training.rerankers import train_reranker
    from rerank_plugins.training.results import TrainingPlan, TrainingResult

__all__ = [
    "DataSettings",
    "ModelSettings",
    "RerankerTrainingSettings",
    "RunSettings",
    "TrainingPlan",
    "TrainingResult",
    "plan_reranker_training",
    "read_settings_file",
    "reranker_settings",
    "train_reranker",
]

__getattr__ = imported_on_use(
    __name__,
    {
        "TrainingPlan": "training.results",
        "TrainingResult": "training.results",
        "plan_reranker_training": "training.planning",
        "train_reranker": "training.rerankers",
    },
)
