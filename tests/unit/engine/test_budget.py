"""The token budget: halved when memory runs out, never below what ran, and back step by step."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sum_scorer import SumScorer, token_input

from rerank_plugins.engine.batcher import MicroBatcher
from rerank_plugins.engine.budget import TokenBudget
from rerank_plugins.errors import ScoringError
from rerank_plugins.protocols import Batch
from rerank_plugins.types import EngineOptions


class Moody(SumScorer):
    """Runs out of memory at the forwards with these numbers, whatever their size."""

    def __init__(self, *failing: int, error: type[BaseException] = torch.OutOfMemoryError) -> None:
        super().__init__(is_padded=False)
        self.failing, self.error, self.forwards = set(failing), error, 0

    def forward(self, batch: Batch) -> torch.Tensor:
        self.forwards += 1
        if self.forwards - 1 in self.failing:
            raise self.error
        return super().forward(batch)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_one_failure_on_a_small_call_is_forgotten(error: type[BaseException]) -> None:
    batcher = MicroBatcher([Moody(1, error=error)], budget=TokenBudget(2048), name="test")
    batcher.submit([token_input(*range(1, 1001))]).result(10)
    pair = [token_input(1, 2, 3, 4, 5), token_input(6, 7, 8, 9, 10)]
    assert batcher.submit(pair).result(10).rows[:, 0].tolist() == [15, 40]
    # A batch of 1,000 tokens ran before.
    assert batcher.stats().batch_tokens >= 1000
    for _ in range(30):
        batcher.submit(pair).result(10)
    stats = batcher.stats()
    assert (stats.batch_tokens, stats.out_of_memory) == (2048, 1)
    batcher.close()


def test_a_caller_may_allow_more_than_the_usual_slots_for_its_own_batches() -> None:
    scorer = SumScorer(is_padded=False)
    batcher = MicroBatcher([scorer], budget=TokenBudget(10), name="test")
    inputs = [token_input(1, 2, 3, 4, number) for number in range(8)]
    batcher.submit(inputs, limits=EngineOptions(max_batch_tokens=20)).result(10)
    batcher.submit(inputs, limits=EngineOptions(max_batch_tokens=40)).result(10)
    batcher.submit(inputs).result(10)
    assert [sum(lengths) for lengths in scorer.batches] == [20, 20, 40, 10, 10, 10, 10]
    assert batcher.stats().batch_tokens == 10
    batcher.close()


def test_a_larger_batch_that_runs_out_of_memory_is_split_and_tried_again_later() -> None:
    scorer = SumScorer(is_padded=False, memory_tokens=25)
    batcher = MicroBatcher([scorer], budget=TokenBudget(10), name="test")
    inputs = [token_input(1, 2, 3, 4, number) for number in range(8)]
    for _ in range(40):
        found = batcher.submit(inputs, limits=EngineOptions(max_batch_tokens=40)).result(10)
        assert found.rows[:, 0].tolist() == [10.0 + number for number in range(8)]
    stats = batcher.stats()
    assert 1 <= stats.out_of_memory < 10
    assert stats.batch_tokens == 10
    batcher.close()


def test_a_failure_before_anything_ran_recovers_step_by_step() -> None:
    batcher = MicroBatcher([Moody(0)], budget=TokenBudget(2048), name="test")
    pair = [token_input(1, 2, 3, 4, 5), token_input(6, 7, 8, 9, 10)]
    seen = []
    for _ in range(100):
        batcher.submit(pair).result(10)
        seen.append(batcher.stats().batch_tokens)
    batcher.close()
    assert seen[0] <= 10
    assert seen == sorted(seen)
    assert seen[-1] == 2048


def test_a_device_that_is_truly_small_is_not_tried_all_the_time() -> None:
    scorer = SumScorer(is_padded=False, memory_tokens=100)
    batcher = MicroBatcher([scorer], budget=TokenBudget(2048), name="test")
    inputs = [token_input(*[1] * 10) for _ in range(1)] + [token_input(*[n] * 10) for n in range(2, 1000)]
    for _ in range(5):
        batcher.submit(inputs).result(30)
    stats = batcher.stats()
    batcher.close()
    assert stats.batches > 400
    assert stats.out_of_memory < stats.batches / 10
    assert all(sum(batch) <= 100 for batch in scorer.batches)


def test_memory_that_is_taken_for_good_is_believed() -> None:
    budget = TokenBudget(1000)
    budget.ran(1000)
    for _ in range(20):
        if budget.tokens > 100:
            budget.failed(budget.tokens)
    assert budget.tokens <= 100


def test_a_single_input_without_memory_is_a_typed_error_and_the_model_lives_on() -> None:
    batcher = MicroBatcher([Moody(0)], budget=TokenBudget(100), name="test")
    with pytest.raises(ScoringError, match="single input of 2 tokens") as told:
        batcher.submit([token_input(1, 2)]).result(10)
    assert isinstance(told.value.__cause__, torch.OutOfMemoryError)
    assert batcher.submit([token_input(1, 2)]).result(10).rows[0, 0] == 3
    batcher.close()


def test_the_machine_without_memory_is_the_same_as_the_device() -> None:
    class Allocator(SumScorer):
        def forward(self, batch: Batch) -> torch.Tensor:
            if len(batch) > 1:
                msg = "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory"
                raise RuntimeError(msg)
            return super().forward(batch)

    batcher = MicroBatcher([Allocator(is_padded=False)], budget=TokenBudget(100), name="test")
    assert batcher.submit([token_input(1), token_input(2)]).result(10).rows[:, 0].tolist() == [1, 2]
    batcher.close()


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 500)), max_size=60))
@settings(derandomize=True, deadline=None)
def test_the_budget_stays_between_one_and_its_start_and_above_what_ran(steps: list[tuple[bool, int]]) -> None:
    budget, largest, failures = TokenBudget(300), 0, 0
    for fails, size in steps:
        cost = min(size, budget.tokens)
        if fails:
            failures += 1
            assert 1 <= budget.failed(cost) <= max(1, cost // 2)
        else:
            largest, failures = max(largest, cost), 0 if cost >= largest else failures
            budget.ran(cost)
        assert 1 <= budget.tokens <= 300
        if failures < 3:
            assert budget.tokens >= largest
