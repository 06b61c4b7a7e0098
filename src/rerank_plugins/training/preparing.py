"""From settings to a Trainer: data stored and checked, steps counted, arguments in transformers' words."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import integrations

from rerank_plugins.catalog.resolve import ResolvedModel
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.engine.device import has_native_bfloat16
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.batches import EpochOrder
from rerank_plugins.training.by_file import FileOrder, rows_by_file
from rerank_plugins.training.dev import DevSet, dev_set, keep_sets
from rerank_plugins.training.dropout import set_dropout
from rerank_plugins.training.inspecting import inspect_data
from rerank_plugins.training.kind import Kind, kind_of
from rerank_plugins.training.row_kinds import takes_half_batches
from rerank_plugins.training.rows import Rows, store_rows
from rerank_plugins.training.settings_common import CommonRunSettings
from rerank_plugins.training.steps import StepPlan, plan_steps
from rerank_plugins.training.trainer import GroupTrainer, Patience

__all__ = [
    "Prepared",
    "is_first_process",
    "order_of",
    "prepare",
    "process_rank",
    "trainer_for",
    "training_device",
    "uses_cpu",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A training before its first step; the model is not loaded yet.

    Attributes:
        settings: What was asked for, with what the model decides.
        kind: What is trained.
        resolved: The model to start from.
        rows: What is trained on.
        dev: What is measured on; None for nothing.
        kept: What the model shall stay good at.
        steps: How long it will be.
    """

    settings: Any
    kind: Kind
    resolved: ResolvedModel
    rows: Rows
    dev: DevSet | None
    kept: tuple[DevSet, ...]
    steps: StepPlan

    @property
    def sets(self) -> tuple[DevSet, ...]:
        """All sets that are measured before and after: the dev set, if there is one, then the others."""
        return self.kept if self.dev is None else (self.dev, *self.kept)

    def opened(self) -> Any:
        """Load the model, with the run's dropout.

        Raises:
            ModelError: It cannot be loaded.
            InvalidInputError: Settings cannot work with it.
        """
        trainable = self.kind.open(self.resolved, self.settings)
        if self.settings.run.dropout is not None:
            set_dropout(trainable.module, self.settings.run.dropout)
        return trainable


def _check_trackers(names: Sequence[str]) -> None:
    """Raise for a tracker that the Trainer would stumble over only when the model is loaded and measured."""
    for name in names:
        if name in ("all", "none"):
            continue
        try:
            callbacks = integrations.get_reporting_integration_callbacks([name])  # type: ignore[attr-defined, no-untyped-call]
            for callback in callbacks:
                callback()
        except (ValueError, RuntimeError, ImportError, AssertionError) as error:
            msg = f"report_to={name!r} cannot be had: {error}"
            raise InvalidInputError(msg) from error


def prepare(settings: Any, folder: Path) -> Prepared:
    """Check everything that can be checked before a model is loaded.

    Args:
        settings: What was asked for.
        folder: Where the rows are stored.

    Raises:
        InvalidInputError: Data or settings cannot work.
        ModelError: The model cannot be resolved, or is not trained today.
        MissingExtraError: Something that training needs is not installed.
    """
    import_extra("accelerate", extra="train")
    _check_trackers(settings.run.report_to)
    kind = kind_of(settings.task)
    resolved = kind.resolve(settings)
    settings = kind.completed(settings, resolved)
    if is_first_process():
        inspect_data(settings.data, kind.check_options(settings, resolved))
    stored = folder / f"rows-{process_rank()}.jsonl"
    kept = keep_sets(settings.data, metric=settings.run.metric)
    kept_queries = [query for one in kept for query in one.dataset.queries.values()]
    rows, held_out = store_rows(
        settings.data, stored, holds_out=settings.data.dev_data is None, asked_queries=kept_queries
    )
    dev = dev_set(settings.data, held_out, metric=settings.run.metric)
    _warn_of(rows, kept, n_held_out=len(held_out))
    if dev is None and settings.data.dev_fraction:
        logger.warning(
            "there are too few queries to hold some out, so nothing is measured and the last checkpoint is kept; give "
            "dev_data"
        )
    steps = plan_steps(settings.run, n_rows=len(_order(settings, rows)), n_devices=_n_devices(settings.run))
    return Prepared(settings, kind, resolved, rows, dev, kept, steps)


def _warn_of(rows: Rows, kept: Sequence[DevSet], *, n_held_out: int) -> None:
    """Tell what of the stored rows makes the training, or what it measures, other than one expects."""
    if any(takes_half_batches(task.kind) for task in rows.tasks):
        logger.warning(
            "FlagEmbedding makes batches of half the size of rows whose type is symmetric; here all batches are of "
            "per_device_train_batch_size"
        )
    if rows.n_left_out:
        logger.warning("%d rows have no group and are left out, as allowed", rows.n_left_out)
    if rows.n_answered:
        logger.warning(
            "%d of the %d held-out rows have a positive that is trained on for another query: what is measured on them "
            "is better than on new texts; give dev_data with texts of its own",
            rows.n_answered,
            n_held_out,
        )
    for one in kept:
        queries = one.dataset.queries.values()
        n_known = sum(query in rows.known_queries for query in queries)
        if n_known:
            logger.warning(
                "%d of the %d queries of %s, a set of keep_data, are trained on: what is measured there is better than "
                "on new queries; take them out of the training data or of that set",
                n_known,
                len(queries),
                one.dataset.name,
            )


def trainer_for(prepared: Prepared, trainable: Any, folder: Path) -> GroupTrainer:
    """Return the Trainer of a run, whose checkpoints go into a folder."""
    run = prepared.settings.run
    trainer = prepared.kind.trainer(prepared, trainable, training_arguments(prepared, folder))
    if prepared.dev is not None and run.early_stopping_patience is not None:
        trainer.add_callback(Patience(f"eval_{run.metric}", run.early_stopping_patience))
    return trainer


def order_of(prepared: Prepared) -> EpochOrder:
    """Return the order in which a run takes its rows."""
    return _order(prepared.settings, prepared.rows)


def _order(settings: Any, rows: Rows) -> EpochOrder:
    run, data = settings.run, settings.data
    batch = run.per_device_train_batch_size * _n_devices(run)
    if getattr(data, "same_dataset_within_batch", False):
        files = rows_by_file(
            rows.source_numbers,
            tasks=[(one.kind, one.texts_of_group(data.train_group_size)) for one in rows.tasks],
            small_threshold=data.small_threshold,
            drop_threshold=data.drop_threshold,
        )
        order = FileOrder(files, seed=run.seed, batch=batch)
        if not len(order):
            most = max(map(len, files), default=0)
            msg = (
                f"with same_dataset_within_batch a batch of {batch} groups is of one file, and the largest has {most} "
                "rows that count: nothing would be trained. Take a smaller per_device_train_batch_size, or join small "
                "files with small_threshold"
            )
            raise InvalidInputError(msg)
        return order
    sizes = rows.sizes if run.group_by_length else None
    return EpochOrder(len(rows), seed=run.seed, sizes=sizes, batch=batch)


def training_arguments(prepared: Prepared, folder: Path) -> transformers.TrainingArguments:
    """Return a run's arguments in the words that transformers 4 and 5 have in common."""
    run, steps, measures = prepared.settings.run, prepared.steps, prepared.dev is not None
    options: dict[str, Any] = {
        name: getattr(run, name)
        for name in (
            "learning_rate",
            "num_train_epochs",
            "per_device_train_batch_size",
            "gradient_accumulation_steps",
            "lr_scheduler_type",
            "weight_decay",
            "max_grad_norm",
            "optim",
            "seed",
            "save_total_limit",
            "logging_steps",
            "dataloader_num_workers",
            "dataloader_drop_last",
        )
    }
    options |= {**_precision(run), **_recomputing(run)}
    if measures:
        options |= {"eval_strategy": "steps", "eval_steps": steps.eval_every, "load_best_model_at_end": True}
        options |= {"metric_for_best_model": f"eval_{run.metric}", "greater_is_better": True}
    return transformers.TrainingArguments(
        output_dir=str(folder),
        max_steps=run.max_steps or -1,
        warmup_steps=steps.warmup,
        save_strategy="steps",
        save_steps=steps.eval_every if measures else steps.save_every,
        report_to=list(run.report_to) or "none",
        disable_tqdm=not run.progress,
        remove_unused_columns=False,
        label_names=[],
        # What is not finite ends the run; it is not averaged away.
        logging_nan_inf_filter=False,
        dataloader_pin_memory=not uses_cpu(run),
        use_cpu=uses_cpu(run),
        **options,
    )


def uses_cpu(run: CommonRunSettings) -> bool:
    """Return whether a run stays on the CPU."""
    return run.device == "cpu" or not (torch.cuda.is_available() or torch.backends.mps.is_available())


def training_device(run: CommonRunSettings) -> torch.device:
    """Return where a run computes."""
    if uses_cpu(run):
        return torch.device("cpu")
    return torch.device("cuda" if torch.cuda.is_available() else "mps")


def is_first_process() -> bool:
    """Return whether this process writes what one process writes, in a run of one or several."""
    return process_rank() == 0


def _precision(run: CommonRunSettings) -> dict[str, bool]:
    """Return the autocast that a run can have; what the device lacks is reported, and float32 is used."""
    fp16, bf16 = run.fp16, run.bf16
    if uses_cpu(run):
        if fp16:
            logger.warning("fp16 needs a GPU: this CPU trains in float32")
        if bf16 and not has_native_bfloat16(torch.device("cpu")):
            logger.warning("this CPU does not compute in bfloat16 itself, which would be slower: it trains in float32")
            bf16 = False
        fp16 = False
    return {"fp16": fp16, "bf16": bf16}


def _recomputing(run: CommonRunSettings) -> dict[str, Any]:
    """Return the switch for computing activations twice, which the installed transformers may have renamed.

    In the way of torch that needs no gradient at the lowest layer, where adapters and frozen layers have none.
    """
    known = {one.name for one in fields(transformers.TrainingArguments)}
    name = "activation_checkpointing" if "activation_checkpointing" in known else "gradient_checkpointing"
    return {name: True, f"{name}_kwargs": {"use_reentrant": False}} if run.gradient_checkpointing else {}


def _n_devices(run: CommonRunSettings) -> int:
    """Return the devices that train side by side: those of accelerate's processes, or this one's GPUs."""
    n_processes = int(os.environ.get("WORLD_SIZE", "1"))
    if n_processes > 1 or uses_cpu(run):
        return n_processes
    return max(torch.cuda.device_count(), 1)


def process_rank() -> int:
    """Return this process's number among those that train together; 0 where it is alone."""
    return int(os.environ.get("RANK", "0"))
