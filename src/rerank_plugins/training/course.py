"""The whole course of a training: data in, a measured model in its folder out."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file

from rerank_plugins.calibration import Calibration
from rerank_plugins.errors import TrainingError
from rerank_plugins.system.files import write_atomically
from rerank_plugins.system.locks import let_go
from rerank_plugins.training.checkpoints import check_same_run, newest_whole
from rerank_plugins.training.ending import ending_of
from rerank_plugins.training.kind import Saved, SetScores
from rerank_plugins.training.preparing import Prepared, is_first_process, prepare, process_rank, trainer_for
from rerank_plugins.training.process_group import leave_group_at_exit
from rerank_plugins.training.publishing import CALIBRATION, publish
from rerank_plugins.training.results import TrainingResult
from rerank_plugins.training.run_folder import (
    RUN,
    check_folders,
    ended_result,
    has_ended,
    hold_folder,
    keep_result,
    run_folder_of,
)

__all__ = ["run_training"]

_BEFORE = "before.json"
_DO_NOT_COUNT = (
    "dataloader_num_workers",
    "dev_data",  # by its contents
    "local_files_only",
    "logging_steps",
    "keep_data",
    "keep_queries",
    "output_dir",
    "progress",
    "report_to",
    "resume",
    "save_total_limit",
    "train_data",  # by its contents
)
"""Settings that change no weight, and may differ when a run goes on."""


def run_training(settings: Any) -> TrainingResult | None:
    """Train a model and put it into its output folder; see :func:`~rerank_plugins.training.train_reranker`.

    Args:
        settings: What to train, on what, and how.
    """
    leave_group_at_exit()
    started_s = time.perf_counter()
    output = Path(settings.run.output_dir)
    folder = run_folder_of(output)
    is_first = is_first_process()
    if settings.run.resume and has_ended(output, folder, is_first=is_first):
        return ended_result(output, folder) if is_first else None
    check_folders(output, folder, resumes=settings.run.resume, is_first=is_first)
    lock = hold_folder(output, folder, rank=process_rank())
    try:
        return _run(settings, output, folder, started_s)
    finally:
        let_go(lock)


def _run(settings: Any, output: Path, folder: Path, started_s: float) -> TrainingResult | None:
    prepared, trainable = _opened(settings, folder)
    checkpoint = _begin(prepared, folder)
    before = _measured_before(prepared, trainable, folder)
    trainer = trainer_for(prepared, trainable, folder)
    train_loss = trainer.run(checkpoint)
    _check_best(trainer.state.best_model_checkpoint, trainable.module)
    if not is_first_process():
        return None
    # accelerate leaves its autocast around the module.
    trainer.accelerator.unwrap_model(trainable.module, keep_fp32_wrapper=False)
    trainable.module.to("cpu", torch.float32)

    def finished(saved: Saved) -> tuple[TrainingResult, Calibration | None]:
        ending = ending_of(prepared, before, saved)
        result = TrainingResult(
            folder=output,
            steps=trainer.state.global_step,
            best_step=_step_of(trainer.state.best_model_checkpoint),
            train_loss=train_loss,
            seconds=time.perf_counter() - started_s,
            n_rows=len(prepared.rows),
            n_dev_queries=0 if prepared.dev is None else len(prepared.dev.dataset.queries),
            dev_name=None if prepared.dev is None else prepared.dev.dataset.name,
            changes=ending.dev,
            kept=ending.kept,
            worse=ending.worse,
            calibration=None if ending.calibration is None else output / CALIBRATION,
        )
        keep_result(result, folder)
        return result, ending.calibration

    result = publish(prepared, trainable, finished, log=trainer.state.log_history)
    shutil.rmtree(folder, ignore_errors=True)
    return result


def _opened(settings: Any, folder: Path) -> tuple[Prepared, Any]:
    """Check everything that can be checked, and load the model; what was made for a run that cannot begin goes."""
    try:
        prepared = prepare(settings, folder)
        return prepared, prepared.opened()
    except BaseException:
        if is_first_process() and not (folder / RUN).is_file():
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _begin(prepared: Prepared, folder: Path) -> Path | None:
    """Write down what decides the weights, or compare with what was; return the checkpoint to go on from."""
    settings = prepared.settings.flat()
    facts: dict[str, Any] = {name: value for name, value in settings.items() if name not in _DO_NOT_COUNT}
    facts |= {"training rows (SHA-256)": prepared.rows.digest, "model files": prepared.resolved.source}
    facts |= {"dev set (SHA-256)": None if prepared.dev is None else prepared.dev.digest}
    facts |= {"torch": torch.__version__, "transformers": transformers.__version__}
    facts |= {"torch threads": torch.get_num_threads(), "groups of a step": prepared.steps.groups}
    path = folder / RUN
    if not is_first_process():
        return newest_whole(folder) if prepared.settings.run.resume else None
    if not prepared.settings.run.resume:
        write_atomically(path, json.dumps(facts, indent=2).encode())
        return None
    check_same_run(json.loads(path.read_text(encoding="utf-8")), facts, folder=folder)
    return newest_whole(folder)


def _measured_before(prepared: Prepared, trainable: Any, folder: Path) -> SetScores:
    """Return the scores of the model that the training starts from; they are kept for a run that goes on."""
    if not prepared.sets or not is_first_process():
        return []
    path, digests = folder / _BEFORE, [one.digest for one in prepared.sets]
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        # The sets of keep_data decide no weight, and may be others when a run goes on: only the start is measured then.
        if found["sets"] == digests:
            return found["scores"]  # type: ignore[no-any-return]
    scores = prepared.kind.measure_start(prepared, trainable)
    write_atomically(path, json.dumps({"sets": digests, "scores": scores}).encode())
    return scores


def _check_best(best: str | None, module: Any) -> None:
    """Raise if the best checkpoint's weights are not in the module: the Trainer only logs when it cannot load them."""
    if best is None:
        return
    stored, weights = load_file(Path(best) / "model.safetensors"), module.state_dict()
    if any(not torch.equal(stored[name], weights[name].cpu()) for name in stored):
        msg = f"the best checkpoint, {best!r}, could not be loaded; what it holds is intact"
        raise TrainingError(msg)


def _step_of(checkpoint: str | None) -> int | None:
    return None if checkpoint is None else int(checkpoint.rsplit("-", 1)[1])
