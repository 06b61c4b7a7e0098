"""Who may use the folder of a training, also where several processes train together, and when a training has ended."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from training_rows import tiny_run

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.locks import HAS_LOCKS, let_go

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")

from rerank_plugins.training import plan_reranker_training, train_reranker
from rerank_plugins.training.results import TrainingResult
from rerank_plugins.training.run_folder import RUN, ended_result, has_ended, hold_folder, keep_result


def resuming(settings: Any) -> Any:
    return replace(settings, run=replace(settings.run, resume=True))


def the_second_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")


@pytest.mark.skipif(not HAS_LOCKS, reason="no locks on this system")
def test_the_second_process_leaves_the_rows_of_another_trainings_second_process_alone(
    bert_reranker_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "trained.training"
    lock = hold_folder(tmp_path / "trained", folder, rank=1)
    (folder / "rows-1.jsonl").write_text("of the first training")
    the_second_of_two(monkeypatch)
    try:
        with pytest.raises(InvalidInputError, match="is being trained by another process"):
            train_reranker(tiny_run(bert_reranker_folder, tmp_path))
    finally:
        let_go(lock)
    assert (folder / "rows-1.jsonl").read_text() == "of the first training"


@pytest.mark.skipif(not HAS_LOCKS, reason="no locks on this system")
def test_processes_that_train_together_hold_a_lock_each(tmp_path: Path) -> None:
    output, folder = tmp_path / "trained", tmp_path / "trained.training"
    locks = [hold_folder(output, folder, rank=rank) for rank in range(3)]
    for rank in range(3):
        with pytest.raises(InvalidInputError, match="another process"):
            hold_folder(output, folder, rank=rank)
    for lock in locks:
        let_go(lock)
    let_go(hold_folder(output, folder, rank=2))


@pytest.mark.parametrize("resume", [False, True])
def test_the_second_process_leaves_no_folder_where_nothing_can_begin(
    bert_reranker_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, resume: bool
) -> None:
    if not resume:
        (tmp_path / "trained").mkdir()
        (tmp_path / "trained" / "of-mine").touch()
    the_second_of_two(monkeypatch)
    settings = tiny_run(bert_reranker_folder, tmp_path)
    with pytest.raises(InvalidInputError, match="no training to go on with" if resume else "used already"):
        train_reranker(resuming(settings) if resume else settings)
    assert not (tmp_path / "trained.training").exists()


def test_a_dry_run_tells_of_an_output_that_is_used(bert_reranker_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "of-mine").touch()
    with pytest.raises(InvalidInputError, match="used already"):
        plan_reranker_training(tiny_run(bert_reranker_folder, tmp_path))


def test_a_dry_run_tells_of_a_training_that_was_begun(bert_reranker_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "trained.training").mkdir()
    (tmp_path / "trained.training" / RUN).write_text("{}")
    with pytest.raises(InvalidInputError, match="go on with resume"):
        plan_reranker_training(tiny_run(bert_reranker_folder, tmp_path))


def test_a_run_that_was_killed_behind_its_end_has_ended(
    bert_reranker_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny_run(bert_reranker_folder, tmp_path, max_steps=2)
    folder = tmp_path / "trained.training"

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("rerank_plugins.training.course.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            train_reranker(settings)
    assert folder.is_dir()
    weights = (tmp_path / "trained" / "model.safetensors").read_bytes()
    with pytest.raises(InvalidInputError, match="used already"):
        train_reranker(settings)
    result = train_reranker(resuming(settings))
    assert result is not None
    assert result.steps == 2
    assert result.folder == tmp_path / "trained"
    assert {one.name for one in result.changes} >= {"nDCG@10", "MRR@10"}
    assert (tmp_path / "trained" / "model.safetensors").read_bytes() == weights
    assert not folder.exists()
    with pytest.raises(InvalidInputError, match="used already"):
        train_reranker(resuming(settings))


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    output, folder = tmp_path / "trained", tmp_path / "trained.training"
    folder.mkdir()
    result = TrainingResult(
        folder=output,
        steps=3,
        best_step=None,
        train_loss=math.inf,
        seconds=1.5,
        n_rows=7,
        n_dev_queries=0,
        dev_name=None,
        changes=(),
        calibration=output / "calibration.json",
    )
    keep_result(result, folder)
    assert not has_ended(output, folder)
    output.mkdir()
    (output / "training.json").write_text("{}")
    assert has_ended(output, folder)
    assert ended_result(output, folder) == result
    assert not folder.exists()
