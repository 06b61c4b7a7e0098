"""transformers' Trainer over groups of pairs, with what it leaves out: our losses, our dev measures, whole checkpoints.

There is no loop here: order, loss, measurement and marks are put where the Trainer asks for them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch import Tensor
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from rerank_plugins.errors import InvalidInputError, TrainingError
from rerank_plugins.training.alarms import CollapseAlarm
from rerank_plugins.training.batches import EpochOrder, GroupBatches, GroupDataset
from rerank_plugins.training.checkpoints import is_whole, mark_whole
from rerank_plugins.training.chunks import logits_in_chunks
from rerank_plugins.training.losses import GroupLoss
from rerank_plugins.training.scoring import DevScorer

__all__ = ["GroupTrainer", "Patience", "TrainingGroups"]

logger = logging.getLogger(__name__)

_NOT_OF_MODELS = ("rows", "teacher")
_NAMED_ROWS = 8
_STATE = "trainer_state.json"


@dataclass(frozen=True, slots=True, eq=False)
class TrainingGroups:
    """What is trained on.

    Attributes:
        dataset: The groups of all epochs.
        order: The order of an epoch.
        batches: Makes batches of groups.
        where: The place that a row came from, for errors.
    """

    dataset: GroupDataset
    order: EpochOrder
    batches: GroupBatches
    where: Callable[[int], str]


class GroupTrainer(transformers.Trainer):
    """Trains a reranker on groups.

    Args:
        module: Gives ``logits`` for the batches' tensors. Shape: (pairs, 1), or (pairs, layers).
        args: transformers' own arguments.
        groups: What is trained on.
        loss: Of scores and teacher's scores.
        dev: Measures the module; None where there is no dev set.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        args: transformers.TrainingArguments,
        *,
        groups: TrainingGroups,
        loss: GroupLoss,
        dev: DevScorer | None,
    ) -> None:
        self._groups, self._loss, self._dev = groups, loss, dev
        self._alarm = CollapseAlarm()
        self._added_losses = 0.0
        super().__init__(
            model=module,
            args=args,
            train_dataset=groups.dataset,
            # Measured by _dev; the Trainer only asks whether there is one.
            eval_dataset=None if dev is None else groups.dataset,
            data_collator=groups.batches,
            callbacks=[_Epochs(groups.order), _Marks(), *([] if dev is None else [_LastMeasurement()])],
        )
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        if not args.disable_tqdm:
            self.add_callback(_Bar())

    def _get_train_sampler(self, _dataset: object = None) -> EpochOrder:
        return self._groups.order

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,  # noqa: FBT001, FBT002 - the Trainer's signature
        num_items_in_batch: object = None,
    ) -> Any:
        """Return the loss of a batch of groups, a mean over the groups.

        Raises:
            TrainingError: It is not finite, or nothing is learnt any more.
        """
        logits = logits_in_chunks(model, {name: one for name, one in inputs.items() if name not in _NOT_OF_MODELS})
        # By the number of groups that there are: a smaller last batch keeps its groups.
        n_groups, n_layers = len(inputs["rows"]), logits.shape[1:]
        scores = logits.float().view(n_groups, -1, *(() if n_layers == (1,) else n_layers))
        teacher = inputs.get("teacher")
        loss = self._loss(scores, teacher)
        if not torch.isfinite(loss):
            raise self._diverged(inputs["rows"], f"the loss is {loss.item()}")
        # While the learning rate still rises next to nothing is learnt, and a new head gives all texts one score.
        if self.state.global_step >= self.args.warmup_steps:
            guess = float(self._loss(torch.zeros_like(scores), teacher))
            if (reason := self._alarm.reason(scores, loss=float(loss.detach()), guess=guess)) is not None:
                raise self._in_vain(reason)
        return (loss, {"logits": logits}) if return_outputs else loss

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Do one forward and backward pass.

        Raises:
            TrainingError: A gradient is not finite.
        """
        loss = super().training_step(model, inputs, num_items_in_batch)
        self._added_losses += float(loss)
        # With float16 autocast gradients may overflow: its scaler leaves such a step out.
        sums = [one.grad.sum() for one in model.parameters() if one.grad is not None and not self.args.fp16]
        if sums and not torch.isfinite(torch.stack(sums)).all():
            raise self._diverged(inputs["rows"], "a gradient is not finite")
        return loss

    def _diverged(self, rows: Tensor, what: str) -> TrainingError:
        places = [self._groups.where(row) for row in rows.tolist()]
        shown = ", ".join(places[:_NAMED_ROWS]) + (
            f" and {len(places) - _NAMED_ROWS} more" * (len(places) > _NAMED_ROWS)
        )
        return TrainingError(
            f"{what} at step {self.state.global_step + 1}, in the batch of {shown}. Nothing of that step is saved. A "
            "lower learning_rate or bf16 instead of fp16 usually helps; look at these rows and their scores too"
        )

    def _in_vain(self, reason: str) -> TrainingError:
        return TrainingError(
            f"{reason}: at step {self.state.global_step + 1} the model does not learn any more. Checkpoints before are "
            f"whole. A learning_rate of a tenth ({self.args.learning_rate / 10:g}) usually helps; look too whether "
            "positives are told apart from negatives by their texts"
        )

    def evaluate(
        self,
        eval_dataset: object = None,
        ignore_keys: object = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Return the measures of the dev set."""
        if self._dev is None:
            return {}
        measured = self._dev.measure(self.model)
        metrics = {f"{metric_key_prefix}_{name}": measured.mean(name) for name in measured.per_query}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def run(self, checkpoint: Path | None) -> float:
        """Train from the start or from a checkpoint to the end, and return the mean loss of the steps that were done.

        Args:
            checkpoint: A whole one; None begins. The Trainer itself does one step more than there are from the last
                one, and goes on behind an early end, so a run that had ended only gets its weights back.

        Returns:
            NaN if no step was left to do.

        Raises:
            TrainingError: The best checkpoint so far is not there any more.
        """
        if checkpoint is not None:
            _check_best_is_there(checkpoint)
        if checkpoint is not None and self._had_ended(checkpoint):
            self.state = transformers.TrainerState.load_from_json(str(checkpoint / _STATE))
            self.state.best_model_checkpoint = _best_beside(checkpoint)
            self._load_from_checkpoint(self.state.best_model_checkpoint or str(checkpoint), self.model)
            return math.nan
        n_before = 0
        if checkpoint is not None:
            n_before = transformers.TrainerState.load_from_json(str(checkpoint / _STATE)).global_step
            self.add_callback(_Best(_best_beside(checkpoint)))
        self.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        # transformers 4.57 divides by the steps of earlier calls too.
        return self._added_losses / (self.state.global_step - n_before)

    def _had_ended(self, checkpoint: Path) -> bool:
        state = transformers.TrainerState.load_from_json(str(checkpoint / _STATE))
        patience = (one for one in self.callback_handler.callbacks if isinstance(one, Patience))
        return state.global_step >= state.max_steps or any(one.is_over(state) for one in patience)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except (OSError, SafetensorError, RuntimeError) as error:  # RuntimeError: torch.save on a full disk
            raise _not_written(self.state.global_step, error) from error

    def log(self, logs: dict[str, float], *args: Any) -> None:
        """Log figures, also with :mod:`logging`."""
        if self.state.is_world_process_zero:
            shown = ", ".join(f"{name} {value:.4g}" for name, value in logs.items() if isinstance(value, float))
            logger.info("step %d of %d: %s", self.state.global_step, self.state.max_steps, shown)
        super().log(logs, *args)


def _not_written(step: int, error: Exception) -> TrainingError:
    return TrainingError(
        f"the checkpoint of step {step} could not be written ({error}). Checkpoints before it are whole: make room and "
        "go on with resume"
    )


def _check_best_is_there(checkpoint: Path) -> None:
    best = _best_beside(checkpoint)
    if best is not None and not is_whole(Path(best)):
        msg = (
            f"the best checkpoint so far, {best!r}, is gone or not whole, and the training may end with it: put it "
            f"back, or remove {str(checkpoint.parent)!r} to begin anew"
        )
        raise TrainingError(msg)


def _best_beside(checkpoint: Path) -> str | None:
    """Return the best checkpoint by a checkpoint's own state, in the folder that this one is in now.

    The state has its path of the time of writing: the folder may have been moved since, or the path is relative.
    """
    best = transformers.TrainerState.load_from_json(str(checkpoint / _STATE)).best_model_checkpoint
    return None if best is None else str(checkpoint.with_name(Path(best).name))


class _Best(transformers.TrainerCallback):
    """Tells a run that goes on where its best checkpoint is; the Trainer gives up one whose path has changed."""

    def __init__(self, best: str | None) -> None:
        self._best = best

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        state.best_model_checkpoint = self._best


class _Bar(ProgressCallback):
    """The Trainer's bar, without the lines that it prints on stdout."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Print nothing: figures are logged."""


class _Epochs(transformers.TrainerCallback):
    """Tells the order which epoch begins, also after a resume."""

    def __init__(self, order: EpochOrder) -> None:
        self._order = order

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        batches = len(kwargs["train_dataloader"])
        self._order.epoch = state.global_step // max(math.ceil(batches / args.gradient_accumulation_steps), 1)


class _LastMeasurement(transformers.TrainerCallback):
    """Has the last step measured too, as transformers 5 does; 4.57 leaves it out if it is no multiple."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_evaluate = True


class _Marks(transformers.TrainerCallback):
    """Marks checkpoints that are whole."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            try:
                mark_whole(Path(args.output_dir) / f"checkpoint-{state.global_step}")
            except (OSError, InvalidInputError) as error:
                raise _not_written(state.global_step, error) from error


class Patience(transformers.TrainerCallback):
    """Ends a training in which a measure has not risen for a while.

    It counts in the log, which every checkpoint holds, so a resumed run ends where the uninterrupted one does.

    Args:
        key: The measure's name in the log.
        patience: Measurements without a new best.
    """

    def __init__(self, key: str, patience: int) -> None:
        self._key, self._patience = key, patience

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look at the log after a measurement."""
        if self.is_over(state):
            control.should_training_stop = True

    def is_over(self, state: Any) -> bool:
        """Return whether a log ends a training."""
        values = [entry[self._key] for entry in state.log_history if self._key in entry]
        return bool(values) and len(values) - 1 - values.index(max(values)) >= self._patience
