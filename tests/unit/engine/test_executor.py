"""Running batches: order, budget, NaN, and what happens when memory runs out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sum_scorer import SumScorer, token_input

from rerank_plugins.engine.budget import TokenBudget
from rerank_plugins.engine.executor import execute
from rerank_plugins.engine.packing import unique_inputs
from rerank_plugins.engine.statistics import Counters
from rerank_plugins.errors import ScoringError
from rerank_plugins.protocols import Batch
from rerank_plugins.types import EngineOptions

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
    with pytest.raises(ScoringError, match=r"single input of 9 tokens.*max_length") as told:
        execute(SumScorer(memory_tokens=5), INPUTS, budget=TokenBudget(100))
    assert isinstance(told.value.__cause__, torch.OutOfMemoryError)


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


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinity_is_an_error_too(value: float) -> None:
    class Overflowing(SumScorer):
        def forward(self, batch: Batch) -> torch.Tensor:
            return super().forward(batch) + value

    with pytest.raises(ScoringError, match="infinity"):
        execute(Overflowing(), INPUTS, budget=TokenBudget(100))


def test_equal_inputs_are_found() -> None:
    inputs = [token_input(1, 2), token_input(3), token_input(1, 2)]
    unique, indices = unique_inputs(inputs)
    assert unique == inputs[:2]
    assert indices == [0, 1, 0]


def test_what_nobody_waits_for_does_not_run() -> None:
    scorer, counters = SumScorer(), Counters()
    rows = execute(scorer, INPUTS, budget=TokenBudget(9), wanted=lambda index: index != 1, counters=counters)
    assert np.isnan(rows[1]).all()
    assert rows[[0, 2, 3, 4], 0].tolist() == [0.0, 2.0, 12.0, 16.0]
    assert [9] not in scorer.batches
    assert counters.snapshot().inputs_dropped == 1


def test_a_limit_below_the_budget_holds_for_one_call() -> None:
    scorer, budget = SumScorer(is_padded=False), TokenBudget(100)
    execute(scorer, INPUTS, budget=budget, limits=EngineOptions(max_batch_tokens=9))
    assert max(map(sum, scorer.batches)) <= 9
    assert budget.tokens == 100


def test_batches_tokens_and_padding_are_counted() -> None:
    counters = Counters()
    execute(SumScorer(), INPUTS, budget=TokenBudget(12), counters=counters)
    stats = counters.snapshot()
    # 9 alone, then 4 + 4 + 3 in twelve slots, then 1 alone.
    assert (stats.batches, stats.tokens, stats.padding_tokens) == (3, 21, 1)
