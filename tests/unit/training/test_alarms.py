"""Trainings that have gone wrong without a number that is not finite."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rerank_plugins.errors import TrainingError
from rerank_plugins.training import train_reranker
from rerank_plugins.training.alarms import CollapseAlarm
from tests.training_rows import tiny_run

EQUAL, APART = torch.full((4, 8), 3.0), torch.arange(32.0).view(4, 8)


def reasons(alarm: CollapseAlarm, scores: Tensor, n: int, *, loss: float = 1.0, guess: float = 2.0) -> list[str | None]:
    return [alarm.reason(scores, loss=loss, guess=guess) for _ in range(n)]


def test_fifty_batches_of_one_score() -> None:
    *before, last = reasons(CollapseAlarm(), EQUAL, 50)
    assert before == [None] * 49
    assert "one score, 3 now, for 50 steps" in str(last)


def test_a_batch_that_is_told_apart_counts_anew() -> None:
    alarm = CollapseAlarm()
    assert reasons(alarm, EQUAL, 49) + reasons(alarm, APART, 1) + reasons(alarm, EQUAL, 49) == [None] * 99


def test_scores_beyond_all_measure() -> None:
    *before, last = reasons(CollapseAlarm(), APART * 1e5, 50)
    assert before == [None] * 49
    assert "as large as 3.1e+06 for 50 steps" in str(last)


def test_a_loss_far_above_guessing_that_does_not_fall() -> None:
    *before, last = reasons(CollapseAlarm(), APART, 100, loss=4.0)
    assert before == [None] * 99
    assert "the loss was 4 over 50 steps and 4 over the next" in str(last)


def test_a_loss_far_above_guessing_that_falls_is_learning() -> None:
    alarm = CollapseAlarm()
    found = [alarm.reason(APART, loss=9.0 - 0.01 * step, guess=2.0) for step in range(400)]
    assert found == [None] * 400


def test_a_loss_like_guessing_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert reasons(CollapseAlarm(), APART, 300, loss=2.0) == [None] * 300
    assert caplog.text.count("is that of guessing") == 1


def test_a_learning_rate_far_too_high_ends_with_the_reason(bert_reranker_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    run = tiny_run(
        bert_reranker_folder,
        tmp_path,
        learning_rate=5.0,
        warmup_ratio=0.0,
        max_steps=400,
        dev_fraction=0,
        lr_scheduler_type="constant",
    )
    with pytest.raises(TrainingError, match=r"does not learn any more\. Checkpoints before are whole"):
        train_reranker(run)
