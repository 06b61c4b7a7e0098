"""Running batches: order, budget, NaN, and what happens when memory runs out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sum_scorer import SumScorer, token_input

from rerank_plugins.engine.executor import TokenBudget, execute
from rerank_plugins.errors import ScoringError
from rerank_plugins.protocols import Batch

INPUTS = [token_input(*([index] * length)) for index, length in enumerate([3, 9, 1, 4, 4])]
EXPECTED = [0.0, 9.0, 2.0, 12.0, 16.0]


def test_rows_come_back_in_input_order() -> None:
    scorer = SumScorer()
    rows = execute(scorer, INPUTS, budget=TokenBudget(9))
    assert rows[:, 0].tolist() == EXPECTED
    assert rows.dtype == np.float32
    assert scorer.batches == [[9], [4, 4], [3, 1]]


def test_no_forward_runs_twice_and_none_without_inputs() -> None:
    scorer = SumScorer()
    assert execute(scorer, [], budget=TokenBudget(9)).shape == (0, 0)
    assert scorer.batches == []
    execute(scorer, INPUTS[:1], budget=TokenBudget(9))
    assert scorer.batches == [[3]]


def test_out_of_memory_halves_the_budget_keeps_finished_work_and_remembers() -> None:
    scorer = SumScorer(is_padded=False, memory_tokens=10)
    budget = TokenBudget(100)
    rows = execute(scorer, INPUTS, budget=budget)
    assert rows[:, 0].tolist() == EXPECTED
    assert sum(len(batch) for batch in scorer.batches) == len(INPUTS)
    assert budget.tokens == 10  # the failed batch had 21 tokens
    execute(scorer, INPUTS, budget=budget)
    assert all(sum(batch) <= 10 for batch in scorer.batches)


def test_an_input_that_does_not_fit_alone_is_an_error() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        execute(SumScorer(memory_tokens=5), INPUTS, budget=TokenBudget(100))


def test_other_runtime_errors_are_not_taken_for_memory() -> None:
    class Broken(SumScorer):
        def forward(self, batch: Batch) -> torch.Tensor:
            self.batches.append(batch.lengths)
            msg = "mat1 and mat2 shapes cannot be multiplied"
            raise RuntimeError(msg)

    scorer = Broken()
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        execute(scorer, INPUTS, budget=TokenBudget(100))
    assert len(scorer.batches) == 1


def test_nan_is_an_error_with_a_way_out() -> None:
    class NotANumber(SumScorer):
        def forward(self, batch: Batch) -> torch.Tensor:
            return super().forward(batch) * torch.nan

    with pytest.raises(ScoringError, match=r"NaN for 5 of 5 inputs.*float32"):
        execute(NotANumber(), INPUTS, budget=TokenBudget(100))


def test_equal_inputs_run_once() -> None:
    scorer = SumScorer()
    rows = execute(scorer, [token_input(1, 2), token_input(3), token_input(1, 2)], budget=TokenBudget(100))
    assert rows[:, 0].tolist() == [3.0, 3.0, 3.0]
    assert scorer.batches == [[2, 1]]
