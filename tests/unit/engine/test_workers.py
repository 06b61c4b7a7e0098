"""Workers that cannot be started, that die, and models that raise whatever there is: every caller is told."""

from __future__ import annotations

import asyncio
import threading

import pytest
import torch
from sum_scorer import SumScorer, token_input

from rerank_plugins.engine.batcher import MicroBatcher
from rerank_plugins.engine.budget import TokenBudget
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.engine.schedule import Schedule
from rerank_plugins.errors import InvalidInputError, ScoringError
from rerank_plugins.inputs import check_deadline
from rerank_plugins.protocols import Batch
from rerank_plugins.types import EngineOptions


def batcher_of(*scorers: SumScorer) -> MicroBatcher:
    return MicroBatcher(list(scorers), budget=TokenBudget(100), name="test")


@pytest.mark.parametrize("wait_ms", [1e13, 1e300, 10**400, 3_600_001])
def test_a_wait_that_no_clock_can_hold_is_refused(wait_ms: float) -> None:
    with pytest.raises(InvalidInputError, match="max_wait_ms"):
        EngineOptions(max_wait_ms=wait_ms)


def test_a_deadline_that_no_float_can_hold_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="deadline_s"):
        check_deadline(10**400)
    assert check_deadline(1e300) == 1e300


def test_a_wait_of_any_length_kills_no_worker_and_holds_up_no_other_call() -> None:
    # Past the check, as if there were none.
    limits = EngineOptions()
    object.__setattr__(limits, "max_wait_ms", 1e300)
    batcher = batcher_of(SumScorer(is_padded=False))
    patient = batcher.submit([token_input(1)], limits=limits)
    worker = batcher._workers.get(0)
    company = batcher.submit([token_input(*[1] * 100)], limits=limits)
    assert patient.result(10).rows[0, 0] == 1
    assert company.result(10).rows[0, 0] == 100
    assert worker in (None, batcher._workers[0])
    batcher.close()


def test_a_thread_that_cannot_be_started_fails_one_call_and_is_taken_out_of_the_books(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: threading.Thread) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    batcher = batcher_of(SumScorer(), SumScorer())
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(ScoringError, match="no thread could be started") as told:
            batcher.submit([token_input(1)])
    assert isinstance(told.value.__cause__, RuntimeError)
    stats = batcher.stats()
    assert (stats.waiting_calls, stats.waiting_tokens, stats.calls_failed) == (0, 0, 1)
    limits = EngineOptions(max_waiting_tokens=1)
    assert batcher.submit([token_input(2, 3)], limits=limits).result(10).rows[0, 0] == 5
    batcher.close()


@pytest.mark.parametrize("method", ["remaining_wait_s", "take", "add", "drop_cancelled"])
def test_a_worker_that_dies_without_work_in_hand_fails_its_callers_once(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    deaths = []

    def broken(*_: object) -> None:
        deaths.append(method)
        msg = "timestamp too large"
        raise OverflowError(msg)

    batcher = batcher_of(SumScorer())
    with monkeypatch.context() as patched:
        patched.setattr(Schedule, method, broken)
        for _ in range(3):
            with pytest.raises(ScoringError, match="died") as told:
                batcher.submit([token_input(1)]).result(10)
            assert isinstance(told.value.__cause__, OverflowError)
        for worker in list(batcher._workers.values()):
            worker.join(10)
    # One for each call, not thousands a second.
    assert len(deaths) <= 6
    assert batcher.submit([token_input(4)]).result(10).rows[0, 0] == 4
    batcher.close()


class PanicException(BaseException):
    pass


class Raising(SumScorer):
    def __init__(self, error: BaseException) -> None:
        super().__init__(is_padded=False)
        self.error = error

    def forward(self, batch: Batch) -> torch.Tensor:
        if any(13 in one.ids for one in batch.inputs):
            raise self.error
        return super().forward(batch)


WHATEVER = [
    StopIteration("x"),
    StopAsyncIteration("x"),
    GeneratorExit("x"),
    KeyboardInterrupt("x"),
    SystemExit(3),
    asyncio.CancelledError("x"),
    PanicException("index out of bounds"),
    TimeoutError("x"),
    ValueError("x"),
    RecursionError("x"),
]


@pytest.mark.parametrize("error", WHATEVER, ids=lambda error: type(error).__name__)
def test_whatever_a_forward_raises_reaches_every_kind_of_caller(error: BaseException) -> None:
    batcher = batcher_of(Raising(error))
    with pytest.raises(ScoringError, match="model 'test'") as told:
        Deadline(None).wait(batcher.submit([token_input(13)]))
    assert told.value.__cause__ is error

    async def awaited() -> None:
        await asyncio.wait_for(Deadline(None).await_result(batcher.submit([token_input(13)])), 10)

    with pytest.raises(ScoringError, match="model 'test'") as told:
        asyncio.run(awaited())
    assert told.value.__cause__ is error
    # Merged with it, others are not hurt.
    calls = [batcher.submit([token_input(value)]) for value in (1, 13, 2, 3)]
    assert [calls[index].result(10).rows[0, 0] for index in (0, 2, 3)] == [1, 2, 3]
    with pytest.raises(ScoringError):
        calls[1].result(10)
    batcher.close()
