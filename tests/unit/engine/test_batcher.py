"""The worker: many callers, each gets exactly what belongs to it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest
import torch
from sum_scorer import SumScorer, token_input

from rerank_plugins.engine import worker as worker_module
from rerank_plugins.engine.batcher import MicroBatcher
from rerank_plugins.engine.budget import TokenBudget
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import EngineClosedError, ScoringError
from rerank_plugins.protocols import Batch

INPUTS = [token_input(1, 2), token_input(5), token_input(3, 3, 3)]
EXPECTED = [3.0, 5.0, 9.0]


class GatedScorer(SumScorer):
    """Waits for a gate before each forward, so that calls pile up; fails on the id 666."""

    def __init__(self) -> None:
        super().__init__(is_padded=False)
        self.gate = threading.Event()
        self.started = threading.Event()

    def forward(self, batch: Batch) -> torch.Tensor:
        self.started.set()
        assert self.gate.wait(10)
        if any(666 in one.ids for one in batch.inputs):
            msg = "poisoned"
            raise ValueError(msg)
        return super().forward(batch)


@pytest.fixture
def gated() -> GatedScorer:
    return GatedScorer()


def batcher_of(scorer: SumScorer, *, tokens: int = 1000) -> MicroBatcher:
    return MicroBatcher([scorer], budget=TokenBudget(tokens), name="test")


def occupy(batcher: MicroBatcher, scorer: GatedScorer) -> None:
    """Put the worker into a forward that waits at the gate."""
    batcher.submit([token_input(1)])
    assert scorer.started.wait(10)


def test_one_call() -> None:
    batcher = batcher_of(SumScorer())
    assert batcher.submit(INPUTS).result(10).rows[:, 0].tolist() == EXPECTED
    assert len(batcher.submit([]).result(10).rows) == 0
    batcher.close()


def test_waiting_calls_share_a_batch_and_each_gets_its_own_rows(gated: GatedScorer) -> None:
    batcher = batcher_of(gated)
    occupy(batcher, gated)
    futures = [batcher.submit([token_input(index, index)]) for index in range(20)]
    gated.gate.set()
    assert [future.result(10).rows[0, 0] for future in futures] == [2.0 * index for index in range(20)]
    assert gated.batches == [[1], [2] * 20]
    batcher.close()


def test_calls_with_different_options_never_share_a_batch(gated: GatedScorer) -> None:
    batcher = batcher_of(gated)
    occupy(batcher, gated)
    options = ("a", "a", "b", "a")
    futures = [batcher.submit([token_input(index)], options=option) for index, option in enumerate(options)]
    gated.gate.set()
    for future in futures:
        future.result(10)
    assert [len(batch) for batch in gated.batches] == [1, 3, 1]
    batcher.close()


def test_a_failure_reaches_exactly_its_own_caller(gated: GatedScorer) -> None:
    batcher = batcher_of(gated)
    occupy(batcher, gated)
    good, bad, also_good = (batcher.submit([token_input(value)]) for value in (5, 666, 7))
    gated.gate.set()
    assert good.result(10).rows[0, 0] == 5
    assert also_good.result(10).rows[0, 0] == 7
    with pytest.raises(ScoringError, match="poisoned") as told:
        bad.result(10)
    assert isinstance(told.value.__cause__, ValueError)
    assert batcher.submit([token_input(9)]).result(10).rows[0, 0] == 9
    batcher.close()


def test_a_cancelled_call_costs_nothing(gated: GatedScorer) -> None:
    batcher = batcher_of(gated)
    occupy(batcher, gated)
    dropped, kept = batcher.submit([token_input(3, 3, 3)]), batcher.submit([token_input(4)])
    assert dropped.cancel()
    gated.gate.set()
    assert kept.result(10).rows[0, 0] == 4
    with pytest.raises(CancelledError):
        dropped.result(10)
    assert gated.batches == [[1], [1]]
    batcher.close()


def test_close_leaves_no_one_waiting(gated: GatedScorer) -> None:
    batcher = batcher_of(gated)
    occupy(batcher, gated)
    waiting = batcher.submit([token_input(3)])
    closing = threading.Thread(target=batcher.close)
    closing.start()
    with pytest.raises(EngineClosedError):
        waiting.result(10)
    gated.gate.set()
    closing.join(10)
    assert gated.closed
    batcher.close()
    with pytest.raises(EngineClosedError, match="was closed"):
        batcher.submit([token_input(1)])


def test_threads_and_event_loops_together() -> None:
    batcher = batcher_of(SumScorer(), tokens=64)

    def from_a_loop(value: int) -> float:
        async def call() -> float:
            answer = await Deadline(None).await_result(batcher.submit([token_input(value, 1)]))
            return float(answer.rows[0, 0])

        return asyncio.run(call())

    def from_a_thread(value: int) -> float:
        return float(batcher.submit([token_input(value, 1)]).result(10).rows[0, 0])

    with ThreadPoolExecutor(16) as pool:
        loops = list(pool.map(from_a_loop, range(100)))
        threads = list(pool.map(from_a_thread, range(100)))
    assert loops == threads == [value + 1.0 for value in range(100)]
    batcher.close()


def test_an_idle_worker_ends_and_the_next_call_starts_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "IDLE_WORKER_S", 0.05)
    batcher = batcher_of(SumScorer())
    batcher.submit(INPUTS).result(10)
    worker = batcher._workers[0]
    assert worker is not None
    worker.join(10)
    assert not worker.is_alive()
    assert batcher.submit(INPUTS).result(10).rows[:, 0].tolist() == EXPECTED
    batcher.close()


def test_10_000_tiny_calls_leave_nothing_behind() -> None:
    batcher = batcher_of(SumScorer())
    threads = threading.active_count()
    for start in range(0, 10_000, 100):
        futures = [batcher.submit([token_input(start + index)]) for index in range(100)]
        assert [future.result(10).rows[0, 0] for future in futures] == [start + index for index in range(100)]
    assert threading.active_count() <= threads + 1
    batcher.close()
    assert threading.active_count() <= threads
