"""A run that is killed goes on from its newest whole checkpoint, and ends with the weights of one that was not."""

from __future__ import annotations

import errno
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from language_models import KINDS
from training_rows import tiny_run

from rerank_plugins.errors import InvalidInputError, TrainingError
from rerank_plugins.system.locks import HAS_LOCKS, let_go, lock_file
from rerank_plugins.training.checkpoints import check_same_run, is_whole, mark_whole, newest_whole

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")

from rerank_plugins.training import train_reranker, trainer
from rerank_plugins.training.trainable.classifier import Classifier
from rerank_plugins.training.trainer import GroupTrainer

# Ends the process as kill -9 does: at the n-th call of a function that writes a part of a checkpoint.
KILLED = """
import json, os, signal, sys
import torch, transformers
from rerank_plugins.training import reranker_settings, train_reranker, trainer
settings, place, calls = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
owner, name = {"mark": (trainer, "mark_whole"), "weights": (transformers.PreTrainedModel, "save_pretrained"),
               "state": (torch, "save"), "measure": (trainer.GroupTrainer, "evaluate")}[place]
real = getattr(owner, name)
def counted(*args, **kwargs):
    global calls
    calls -= 1
    if calls == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **kwargs)
setattr(owner, name, counted)
train_reranker(reranker_settings(settings))
"""


def killed(settings: object, place: str, calls: int) -> None:
    flat = json.dumps(settings.flat())  # type: ignore[attr-defined]
    done = subprocess.run([sys.executable, "-c", KILLED, flat, place, str(calls)], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("model", "changes", "place", "calls", "whole"),
    [
        ("bert", {}, "mark", 1, []),
        ("bert", {}, "weights", 4, ["checkpoint-4", "checkpoint-6"]),
        ("gemma", {"lora_rank": 4}, "mark", 3, ["checkpoint-4"]),
        ("layerwise", {"use_lora": False}, "state", 10, ["checkpoint-2", "checkpoint-4"]),
    ],
)
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(
    bert_reranker_folder: Path,
    tmp_path: Path,
    model: str,
    changes: dict[str, Any],
    place: str,
    calls: int,
    whole: list[str],
) -> None:
    # Six steps an epoch: the run is killed within its first, and within its second; it keeps dropout.
    changes = {"max_steps": 14, "save_steps": 2, "dev_fraction": 0.0, **changes}
    if model != "bert":
        pytest.importorskip("peft")
        changes |= KINDS[model].settings
    folder = bert_reranker_folder if model == "bert" else KINDS[model].folder(tmp_path)
    (tmp_path / "a").mkdir()
    unbroken = train_reranker(tiny_run(folder, tmp_path / "a", **changes))
    assert unbroken is not None
    (tmp_path / "b").mkdir()
    settings = tiny_run(folder, tmp_path / "b", **changes)
    killed(settings, place, calls)
    kept = tmp_path / "b" / "trained.training"
    assert not (tmp_path / "b" / "trained").exists()
    assert sorted(path.name for path in kept.glob("checkpoint-*") if is_whole(path)) == whole
    with pytest.raises(InvalidInputError, match="go on with resume"):
        train_reranker(settings)
    resumed = train_reranker(replace(settings, run=replace(settings.run, resume=True)))
    assert resumed is not None
    weights = [next(one.folder.glob("*model.safetensors")).read_bytes() for one in (unbroken, resumed)]
    assert weights[0] == weights[1]
    assert not kept.exists()


def interrupted(settings: Any, monkeypatch: pytest.MonkeyPatch, *, measurement: int) -> None:
    """Run until a measurement, which is interrupted."""
    calls = 0
    real = GroupTrainer.evaluate

    def counted(self: GroupTrainer, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == measurement:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(GroupTrainer, "evaluate", counted)
        with pytest.raises(KeyboardInterrupt):
            train_reranker(settings)


def test_a_best_checkpoint_that_was_removed_is_told_before_the_first_step(
    bert_reranker_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny_run(bert_reranker_folder, tmp_path, max_steps=12, eval_steps=2, early_stopping_patience=None)
    interrupted(settings, monkeypatch, measurement=5)
    kept = tmp_path / "trained.training"
    newest = newest_whole(kept)
    assert newest is not None
    best = Path(json.loads((newest / "trainer_state.json").read_text())["best_model_checkpoint"]).name
    (kept / best).rename(tmp_path / "aside")
    if best == newest.name:
        pytest.skip("the best is the newest here, without which the run begins before it")
    with pytest.raises(TrainingError, match=f"{best}.* is gone or not whole"):
        train_reranker(replace(settings, run=replace(settings.run, resume=True)))
    (tmp_path / "aside").rename(kept / best)
    assert train_reranker(replace(settings, run=replace(settings.run, resume=True))) is not None


@pytest.mark.skipif(not HAS_LOCKS, reason="no locks on this system")
@pytest.mark.parametrize("resume", [False, True])
def test_a_training_that_another_process_does_is_left_alone(
    bert_reranker_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, resume: bool
) -> None:
    settings = tiny_run(bert_reranker_folder, tmp_path, max_steps=6, eval_steps=2)
    kept = tmp_path / "trained.training"
    if resume:
        interrupted(settings, monkeypatch, measurement=2)
        settings = replace(settings, run=replace(settings.run, resume=True))
    kept.mkdir(exist_ok=True)
    before = sorted(path.name for path in kept.iterdir())
    lock = lock_file(kept)
    with pytest.raises(InvalidInputError, match="is being trained by another process"):
        train_reranker(settings)
    assert sorted(path.name for path in kept.iterdir()) == before
    let_go(lock)
    assert train_reranker(settings) is not None


def test_a_mark_that_cannot_be_written_is_told_as_a_checkpoint_that_cannot(
    bert_reranker_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    settings = tiny_run(bert_reranker_folder, tmp_path, max_steps=6, eval_steps=2)
    with monkeypatch.context() as patched:
        patched.setattr(trainer, "mark_whole", full)
        with pytest.raises(TrainingError, match=r"step 2 could not be written.*make room"):
            train_reranker(settings)
    assert train_reranker(replace(settings, run=replace(settings.run, resume=True))) is not None


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_killed_run_with_a_dev_set_keeps_the_same_best_and_stops_at_the_same_step(
    bert_reranker_folder: Path, tmp_path: Path
) -> None:
    changes = {"max_steps": 40, "eval_steps": 3, "early_stopping_patience": 4}
    results = []
    for name, place in (("a", None), ("b", "state")):
        (tmp_path / name).mkdir()
        settings = tiny_run(bert_reranker_folder, tmp_path / name, **changes)
        if place is not None:
            # Optimizer, schedule, random numbers and arguments are four calls a checkpoint: within the third.
            killed(settings, place, 10)
            settings = replace(settings, run=replace(settings.run, resume=True))
        results.append(train_reranker(settings))
    first, second = results
    assert first is not None
    assert second is not None
    assert (first.steps, first.best_step, first.changes) == (second.steps, second.best_step, second.changes)
    weights = [(one.folder / "model.safetensors").read_bytes() for one in (first, second)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("ended", [False, True], ids=["under way", "behind its last step"])
def test_a_run_whose_folder_was_moved_goes_on_with_its_best_checkpoint(
    bert_reranker_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, ended: bool
) -> None:
    # Nothing is better than the first measurement at this rate, so that the best checkpoint is one of before.
    changes = {"max_steps": 8, "eval_steps": 1, "learning_rate": 1e-9, "logging_steps": 1}
    changes["early_stopping_patience"] = None
    settings = tiny_run(bert_reranker_folder, tmp_path, **changes)
    with monkeypatch.context() as patch:
        if ended:
            patch.setattr("rerank_plugins.training.course.publish", _broken_off)
        else:
            patch.setattr(GroupTrainer, "training_step", _broken_off_at(5, GroupTrainer.training_step))
        with pytest.raises(KeyboardInterrupt):
            train_reranker(settings)
    # The rows and the dev set too: they are told by their contents.
    for name, other in (("trained.training", "moved.training"), ("train.jsonl", "t.jsonl"), ("dev.jsonl", "d.jsonl")):
        (tmp_path / name).rename(tmp_path / other)
    run = replace(settings.run, output_dir=tmp_path / "moved", resume=True)
    data = replace(settings.data, train_data=(tmp_path / "t.jsonl",), dev_data=tmp_path / "d.jsonl")
    result = train_reranker(replace(settings, run=run, data=data))
    assert result is not None
    assert (result.steps, result.best_step) == (8, 1)
    if ended:
        assert math.isnan(result.train_loss)
    else:
        log = json.loads((result.folder / "training.json").read_text())["log"]
        losses = [one["loss"] for one in log if "loss" in one]
        assert result.train_loss == pytest.approx(sum(losses[5:]) / 3, abs=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"max_steps": 6, "save_steps": 2, "dev_fraction": 0.0},
        {"max_steps": 60, "eval_steps": 2, "early_stopping_patience": 2},
    ],
    ids=["all steps done", "ended early"],
)
def test_a_run_that_was_broken_off_behind_its_last_step_does_no_more(
    bert_reranker_folder: Path, tmp_path: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    # A rate that stays: a step too many would be seen in the weights.
    changes = {**changes, "lr_scheduler_type": "constant"}
    for name in "ab":
        (tmp_path / name).mkdir()
        settings = tiny_run(bert_reranker_folder, tmp_path / name, **changes)
        if name == "b":
            with monkeypatch.context() as patch:
                patch.setattr("rerank_plugins.training.course.publish", _broken_off)
                with pytest.raises(KeyboardInterrupt):
                    train_reranker(settings)
            settings = replace(settings, run=replace(settings.run, resume=True))
        results.append(train_reranker(settings))
    first, second = results
    assert first is not None
    assert second is not None
    assert (first.steps, first.best_step, first.changes) == (second.steps, second.best_step, second.changes)
    assert math.isnan(second.train_loss)
    weights = [(one.folder / "model.safetensors").read_bytes() for one in (first, second)]
    assert weights[0] == weights[1]


def _broken_off(*_args: object, **_options: object) -> None:
    raise KeyboardInterrupt


def _broken_off_at(step: int, real: Any) -> Any:
    def training_step(trainer: GroupTrainer, *args: Any, **options: Any) -> Any:
        if trainer.state.global_step == step:
            raise KeyboardInterrupt
        return real(trainer, *args, **options)

    return training_step


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_run_goes_on_only_as_it_was_begun(bert_reranker_folder: Path, tmp_path: Path) -> None:
    settings = tiny_run(bert_reranker_folder, tmp_path)
    killed(settings, "measure", 2)
    again = replace(settings, run=replace(settings.run, resume=True))
    with pytest.raises(InvalidInputError, match=r"learning_rate was 0\.001 and is 0\.1"):
        train_reranker(replace(again, run=replace(again.run, learning_rate=0.1)))
    data = tmp_path / "train.jsonl"
    data.write_text(data.read_text().replace("panda", "bear"))
    with pytest.raises(InvalidInputError, match="training rows"):
        train_reranker(again)
    data.write_text(data.read_text().replace("bear", "panda"))
    dev = tmp_path / "dev.jsonl"
    dev.write_text(dev.read_text().replace("panda", "bear"))
    with pytest.raises(InvalidInputError, match="dev set"):
        train_reranker(again)


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.slow
def test_a_disk_that_fills_up_leaves_the_checkpoints_before(bert_reranker_folder: Path, tmp_path: Path) -> None:
    code = """
import json, resource, signal, sys
from rerank_plugins.errors import TrainingError
from rerank_plugins.training import reranker_settings, train_reranker, trainer
real, marked = trainer.mark_whole, []
def mark(checkpoint):
    real(checkpoint)
    marked.append(checkpoint)
    if len(marked) == 2:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
trainer.mark_whole = mark
try:
    train_reranker(reranker_settings(json.loads(sys.argv[1])))
except TrainingError as error:
    print(error)
"""
    settings = tiny_run(bert_reranker_folder, tmp_path, max_steps=8, save_steps=2, dev_fraction=0.0)
    command = [sys.executable, "-c", code, json.dumps(settings.flat())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "checkpoint of step 6 could not be written" in done.stdout
    assert newest_whole(tmp_path / "trained.training") == tmp_path / "trained.training" / "checkpoint-4"
    resumed = train_reranker(replace(settings, run=replace(settings.run, resume=True)))
    assert resumed is not None
    assert resumed.steps == 8


@pytest.mark.parametrize("fault", ["no room", "other weights"])
def test_a_model_that_cannot_be_saved_leaves_the_checkpoints(
    bert_reranker_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    real = Classifier.save

    def save(self: Classifier, folder: Path) -> None:
        if fault == "no room":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with torch.no_grad():
            self.module.classifier.bias += 1.0
        real(self, folder)
        with torch.no_grad():
            self.module.classifier.bias -= 1.0

    settings = tiny_run(bert_reranker_folder, tmp_path)
    monkeypatch.setattr(Classifier, "save", save)
    told = "No space left" if fault == "no room" else "the saved model scores"
    with pytest.raises(TrainingError, match=told):
        train_reranker(settings)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev.jsonl", "train.jsonl", "trained.training"]
    monkeypatch.undo()
    resumed = train_reranker(replace(settings, run=replace(settings.run, resume=True)))
    assert resumed is not None
    assert resumed.steps == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev.jsonl", "train.jsonl", "trained"]


def checkpoint(folder: Path, step: int, *, marked: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"x" * 100)
    (path / "optimizer.pt").write_bytes(b"y" * 50)
    if marked:
        mark_whole(path)
    return path


def test_the_newest_whole_checkpoint_is_found_and_the_others_are_removed(tmp_path: Path) -> None:
    checkpoint(tmp_path, 9)
    wanted = checkpoint(tmp_path, 10)
    checkpoint(tmp_path, 11, marked=False)
    (checkpoint(tmp_path, 12) / "optimizer.pt").unlink()
    (checkpoint(tmp_path, 13) / "model.safetensors").write_bytes(b"x" * 99)
    (checkpoint(tmp_path, 14) / "whole.json").write_bytes(b"{")
    assert newest_whole(tmp_path) == wanted
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-9"]
    assert newest_whole(tmp_path / "empty") is None


def test_all_differences_of_two_runs_are_told(tmp_path: Path) -> None:
    check_same_run({"seed": 1, "loss": "a"}, {"seed": 1, "loss": "a"}, folder=tmp_path)
    with pytest.raises(InvalidInputError) as caught:
        check_same_run({"seed": 1, "loss": "a", "torch": "2"}, {"seed": 2, "loss": "a", "new": 3}, folder=tmp_path)
    for told in ("seed was 1 and is 2", "torch was '2' and is None", "new was None and is 3"):
        assert told in str(caught.value)
    assert "loss" not in str(caught.value)
