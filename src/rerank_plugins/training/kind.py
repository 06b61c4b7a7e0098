"""What differs between trainings of rerankers, embedders and ColBERT; the course of a training is the same for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rerank_plugins.calibration import ScoreSource
from rerank_plugins.catalog.resolve import ResolvedModel
from rerank_plugins.training.arguments import Task
from rerank_plugins.training.data.checking import CheckOptions
from rerank_plugins.training.groups import Group
from rerank_plugins.training.results import TrainingResult

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from rerank_plugins.training.preparing import Prepared
    from rerank_plugins.training.trainer import GroupTrainer

__all__ = ["Kind", "Lengths", "Saved", "SetScores", "kind_of"]

SetScores = Sequence[Sequence[float]]
"""For each measured set of a run one score for each of its pairs."""

_HOMES: dict[Task, tuple[str, str]] = {
    "reranker": ("rerank_plugins.training.reranking", "RERANKER"),
    "embedder": ("rerank_plugins.training.embedders", "EMBEDDER"),
    "colbert": ("rerank_plugins.training.colberts", "COLBERT"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Tokens of a training's inputs.

    Attributes:
        longest: Of an input at most.
        mean: Of an input, of a sample.
        share_cut: Share of the sample's inputs that lose some of their text.
    """

    longest: int
    mean: float
    share_cut: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What a saved folder gave.

    Attributes:
        scores: Of all measured sets.
        source: What makes them, for a calibration; None where there is none to fit.
    """

    scores: SetScores
    source: ScoreSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a training of one kind does at each step of the course.

    Attributes:
        resolve: Settings to the model to start from; raises where it is not trained.
        completed: Settings with what the model decides.
        check_options: What the data are checked for.
        open: Loads the model for training; what it gives has ``module`` (float32 weights), ``n_parameters`` and
            ``save(folder)``.
        trainer: The Trainer of a run.
        measure_start: Scores that the model that it starts from gives to all measured sets.
        check_saved: Likewise those of a saved folder, which must give what the module gives.
        lengths: Tokens of some groups.
        unit: What an input of the model is called, in the plural.
        inputs_per_group: Inputs of the model that a group of ``n`` texts makes.
        card: The model card.
    """

    resolve: Callable[[Any], ResolvedModel]
    completed: Callable[[Any, ResolvedModel], Any]
    check_options: Callable[[Any, ResolvedModel], CheckOptions]
    open: Callable[[ResolvedModel, Any], Any]
    trainer: Callable[[Prepared, Any, TrainingArguments], GroupTrainer]
    measure_start: Callable[[Prepared, Any], SetScores]
    check_saved: Callable[[Prepared, Any, Path], Saved]
    lengths: Callable[[Prepared, Any, Sequence[Group]], Lengths]
    unit: str
    inputs_per_group: Callable[[int], int]
    card: Callable[[Prepared, TrainingResult], str]


def kind_of(task: Task) -> Kind:
    """Return what a training of a task does. Its module uses the course itself, and is imported when it is needed."""
    module, name = _HOMES[task]
    found: Kind = getattr(import_module(module), name)
    return found
