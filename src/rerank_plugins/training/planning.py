"""What a training would do, without doing it: sizes and steps, and what three real steps took."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers

from rerank_plugins.training.batches import GroupDataset
from rerank_plugins.training.kind import Lengths
from rerank_plugins.training.preparing import Prepared, prepare, trainer_for, uses_cpu
from rerank_plugins.training.results import TrainingPlan
from rerank_plugins.training.run_folder import check_folders, run_folder_of

__all__ = ["plan_training"]

_STEPS = 3
_SAMPLED_ROWS = 200
_FORWARD_SHARE = 1 / 3
"""Of a step's work that a pair of the dev set costs: a backward pass takes twice what a forward pass does."""


def plan_training(settings: Any) -> TrainingPlan:
    """Return what :func:`~rerank_plugins.training.course.run_training` would do; nothing of it is kept.

    All data is read and checked, the model is loaded, and three steps are done.

    Args:
        settings: As for the training itself.

    Raises:
        InvalidInputError: Settings or data cannot work.
        ModelError: The model cannot be loaded, or is of a kind that is not trained today.
        MissingExtraError: Something that training needs is not installed.
        TrainingError: The loss or a gradient is not finite within three steps.
    """
    output = Path(settings.run.output_dir)
    check_folders(output, run_folder_of(output), resumes=settings.run.resume)
    with TemporaryDirectory(prefix="rerank-plugins-") as folder:
        prepared = prepare(settings, Path(folder))
        trainable = prepared.opened()
        lengths = _lengths(prepared, trainable)
        clock = _Clock()
        # With what the model decides, such as lengths and the learning rate: as the training itself.
        run = replace(prepared.settings.run, max_steps=_STEPS, resume=False, progress=False, report_to=())
        short = replace(prepared, settings=replace(prepared.settings, run=run), dev=None)
        trainer = trainer_for(short, trainable, Path(folder))
        trainer.add_callback(clock)
        trainer.args.save_strategy = transformers.trainer_utils.SaveStrategy.NO
        trainer.train()
        peak = _peak_bytes(prepared.settings)
    return _plan(prepared, trainable, clock.seconds_per_step, lengths, peak)


def _plan(
    prepared: Prepared,
    trainable: Any,
    seconds_per_step: float,
    lengths: Lengths,
    peak_bytes: int,
) -> TrainingPlan:
    settings, steps, dev = prepared.settings, prepared.steps, prepared.dev
    pairs_per_step = steps.groups * prepared.kind.inputs_per_group(settings.data.train_group_size)
    n_dev_pairs = 0 if dev is None else len(dev.pairs)
    measurements = 0 if dev is None else -(-steps.total // steps.eval_every)
    # All sets are measured before and after the training too, those of keep_data only then.
    measured_pairs = n_dev_pairs * measurements + 2 * sum(len(one.pairs) for one in prepared.sets)
    measuring_s = measured_pairs / pairs_per_step * seconds_per_step * _FORWARD_SHARE
    return TrainingPlan(
        model=prepared.resolved.spec.id,
        family=prepared.resolved.spec.family,
        n_parameters=trainable.n_parameters,
        n_rows=len(prepared.rows),
        n_dev_queries=0 if dev is None else len(dev.dataset.queries),
        n_dev_pairs=n_dev_pairs,
        groups_per_step=steps.groups,
        unit=prepared.kind.unit,
        pairs_per_step=pairs_per_step,
        steps_per_epoch=steps.per_epoch,
        steps=steps.total,
        measurements=measurements,
        max_length=lengths.longest,
        mean_tokens=lengths.mean,
        share_cut=lengths.share_cut,
        seconds_per_step=seconds_per_step,
        seconds=steps.total * seconds_per_step + measuring_s,
        peak_bytes=peak_bytes,
    )


def _lengths(prepared: Prepared, trainable: Any) -> Lengths:
    """Return the tokens of inputs, of rows spread over the data."""
    data, rows = prepared.settings.data, prepared.rows
    chosen = range(0, len(rows), max(len(rows) // _SAMPLED_ROWS, 1))
    drawn = GroupDataset(rows, data, seed=prepared.settings.run.seed)
    groups = [drawn[0, row] for row in chosen]
    return prepared.kind.lengths(prepared, trainable, groups)


class _Clock(transformers.TrainerCallback):
    """Times the steps behind the first one, which also sets things up."""

    def __init__(self) -> None:
        self._ends_s: list[float] = []

    @property
    def seconds_per_step(self) -> float:
        return (self._ends_s[-1] - self._ends_s[0]) / max(len(self._ends_s) - 1, 1)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._ends_s.append(time.perf_counter())


def _peak_bytes(settings: Any) -> int:
    """Return the most memory held: of the GPU since torch was imported, or of this process; 0 where nothing tells."""
    if not uses_cpu(settings.run) and torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return 0
    # Linux counts kilobytes, macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
