"""Many calls at a time, slow ones, failing ones, and callers that give up."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from chat_models import OracleChat, ScriptedChat

from rerank_plugins import ChatScorer, Reranker
from rerank_plugins.chat import ChatAnswer, ChatLimits, Pointwise, SimpleChatModel
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import DeadlineExceededError, InvalidInputError, RemoteError, ScoringError
from rerank_plugins.remote.slots import Slots

GRADED = Pointwise(answer="grade")
TEXTS = [f"text {number}" for number in range(20)]


class Hanging(SimpleChatModel):
    """Hangs for its first calls, and answers the others."""

    name = "hanging"

    def __init__(self, n: int = 10**6) -> None:
        self.left, self.go_on = n, threading.Event()
        self.cancelled = self.started = 0

    def complete(self, messages: Any, options: Any) -> ChatAnswer:
        self.started += 1
        self.left -= 1
        if self.left >= 0:
            self.go_on.wait(20.0)
        return ChatAnswer(text="5")


class AsyncHanging(Hanging):
    async def acomplete(self, messages: Any, options: Any) -> ChatAnswer:
        self.started += 1
        try:
            await asyncio.sleep(20.0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return ChatAnswer(text="5")


def reranker(model: Any, **limits: Any) -> Reranker:
    return Reranker(backend=ChatScorer(model, method=GRADED, limits=ChatLimits(**limits)))


@pytest.mark.parametrize("is_async", [False, True])
def test_no_more_calls_at_a_time_than_allowed_whoever_makes_them(is_async: bool) -> None:
    model = OracleChat(delay_s=0.01)
    shared = reranker(model, concurrency=3)

    def call(_: int) -> object:
        return asyncio.run(shared.arank("q", TEXTS)) if is_async else shared.rank("q", TEXTS)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(call, range(4)))
    assert 2 <= model.most_at_once <= 3
    assert model.calls == 80


@pytest.mark.parametrize("is_async", [False, True])
def test_a_call_that_takes_too_long_is_left_behind(is_async: bool, caplog: pytest.LogCaptureFixture) -> None:
    model = Hanging(2)
    held = reranker(model, timeout_s=0.3, concurrency=2, repairs=False)
    with caplog.at_level(logging.WARNING):
        ranking = asyncio.run(held.arank("q", TEXTS)) if is_async else held.rank("q", TEXTS)
    model.go_on.set()
    assert sorted(one.index for one in ranking) == list(range(20))
    assert ranking.usage.chat.failed_calls == 2
    assert [one.score for one in ranking] == [0.5] * 18 + [0.0] * 2
    told = [record.getMessage() for record in caplog.records if "hanging" in record.getMessage()]
    assert len(told) == 1
    assert "text" not in told[0]


def test_calls_that_hang_past_a_deadline_keep_no_slot() -> None:
    model = Hanging(2)
    held = reranker(model, timeout_s=10.0, concurrency=2, repairs=False)
    for _ in range(2):
        with pytest.raises(DeadlineExceededError):
            held.rank("q", TEXTS[:1], deadline_s=0.1)
    assert len(held.rank("q", TEXTS, deadline_s=10.0)) == 20
    model.go_on.set()


def test_a_call_that_hangs_beside_one_that_fails_gives_its_slot_back_in_its_time() -> None:
    class OneFails(OracleChat):
        hangs, go_on = True, threading.Event()

        def complete(self, messages: Any, options: Any) -> ChatAnswer:
            if not self.hangs:
                return super().complete(messages, options)
            if "text 0" in messages[-1].content:
                self.go_on.wait(20.0)
            raise ZeroDivisionError

    model = OneFails(delay_s=0.01)
    held = reranker(model, timeout_s=0.5, concurrency=2, repairs=False)
    with pytest.raises(ScoringError):
        held.rank("q", TEXTS[:2])
    model.hangs = False
    # The one that hangs has half a second; the other slot is free at once.
    assert len(held.rank("q", TEXTS, deadline_s=10.0)) == 20
    time.sleep(0.6)
    model.most_at_once = 0
    held.rank("q", TEXTS, deadline_s=10.0)
    assert model.most_at_once == 2
    model.go_on.set()


@pytest.mark.parametrize("is_async", [False, True])
def test_as_many_calls_at_a_time_as_allowed(is_async: bool) -> None:
    """Asyncio's own threads are six on a machine of two cores: what waits for one of them would be late."""
    model = OracleChat(delay_s=0.3)
    held = reranker(model, concurrency=40, timeout_s=0.8)
    texts = [f"text {number}" for number in range(40)]
    ranking = asyncio.run(held.arank("q", texts)) if is_async else held.rank("q", texts)
    assert model.most_at_once == 40
    assert ranking.usage.chat.failed_calls == 0


def test_an_event_loop_ends_before_a_model_that_hangs() -> None:
    model, start_s = Hanging(), time.perf_counter()
    ranking = asyncio.run(reranker(model, timeout_s=0.1).arank("q", TEXTS[:2]))
    assert ranking.usage.chat.failed_calls == 2
    assert time.perf_counter() - start_s < 5.0
    model.go_on.set()


@pytest.mark.parametrize("is_async", [False, True])
def test_the_deadline_of_a_call_holds(is_async: bool) -> None:
    model, start_s = AsyncHanging() if is_async else Hanging(), time.perf_counter()
    held = reranker(model)
    with pytest.raises(DeadlineExceededError):
        asyncio.run(held.arank("q", TEXTS, deadline_s=0.2)) if is_async else held.rank("q", TEXTS, deadline_s=0.2)
    assert time.perf_counter() - start_s < 5.0
    model.go_on.set()


def test_a_deadline_of_zero_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="deadline_s"):
        reranker(Hanging()).rank("q", TEXTS, deadline_s=0.0)


async def test_a_cancelled_task_drops_its_calls() -> None:
    model = AsyncHanging()
    task = asyncio.create_task(reranker(model, concurrency=4).arank("q", TEXTS))
    await asyncio.sleep(0.2)
    assert model.started == 4
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5.0)
    await asyncio.sleep(0.05)
    assert (model.started, model.cancelled) == (4, 4)


@pytest.mark.parametrize("is_async", [False, True])
def test_only_so_many_calls(is_async: bool) -> None:
    model = OracleChat(lambda _query, text: float(text.split()[1]) / 2)
    held = reranker(model, max_calls=5)
    ranking = asyncio.run(held.arank("q", TEXTS)) if is_async else held.rank("q", TEXTS)
    assert model.calls == 5
    assert sorted(one.index for one in ranking) == list(range(20))
    assert [one.index for one in ranking][:5] == [4, 3, 2, 1, 0]
    chat = ranking.usage.chat
    assert (chat.calls, chat.skipped_calls, chat.failed_calls) == (5, 15, 0)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_query_has_its_calls_for_itself(is_async: bool) -> None:
    held = reranker(OracleChat(lambda _query, text: float(text.split()[1]) / 2), max_calls=5)
    long, short = [("q", one) for one in TEXTS], [("r", one) for one in TEXTS[:2]]
    score = (lambda pairs: asyncio.run(held.ascore(pairs))) if is_async else held.score
    assert score(long + short) == score(long) + score(short)


class Overloaded(Exception):
    status_code = 503


class APITimeoutError(Exception):
    pass


class Refused(Exception):
    status_code = 401


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError("x"),
        asyncio.TimeoutError(),
        RemoteError("x", is_passing=True),
        Overloaded("x"),
        APITimeoutError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("is_async", [False, True])
def test_what_passes_keeps_the_order_or_is_raised(error: Exception, is_async: bool) -> None:
    def fail(_: object) -> str:
        raise error

    def rank(**limits: Any) -> Any:
        held = reranker(ScriptedChat(fail), **limits)
        return asyncio.run(held.arank("q", TEXTS)) if is_async else held.rank("q", TEXTS)

    ranking = rank()
    assert [one.index for one in ranking] == list(range(20))
    assert ranking.usage.chat.failed_calls == ranking.usage.chat.calls == 20
    with pytest.raises(RemoteError):
        rank(on_failure="raise")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RemoteError("HTTP 401: a wrong key", status=401), "wrong key"),
        (RemoteError("nobody there", is_passing=True, is_reached=False), "nobody there"),
        (Refused("a wrong key"), "Refused: a wrong key"),
        (ZeroDivisionError("a fault"), "ZeroDivisionError: a fault"),
        (StopIteration("a fault"), "StopIteration"),
    ],
    ids=["key", "unreached", "status", "fault", "stop"],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_what_does_not_pass_ends_the_ranking(error: Exception, message: str, is_async: bool) -> None:
    def fail(_: object) -> str:
        raise error

    held = reranker(ScriptedChat(fail))
    with pytest.raises(ScoringError, match=message):
        asyncio.run(held.arank("q", TEXTS)) if is_async else held.rank("q", TEXTS)


def test_an_answer_that_is_none() -> None:
    with pytest.raises(ScoringError, match="gave something else"):
        reranker(ScriptedChat(lambda _: ChatAnswer(text=3))).rank("q", TEXTS)  # type: ignore[arg-type]


def test_slots_are_not_lost_by_those_who_give_up() -> None:
    slots = Slots(1)
    slots.take(Deadline(None))
    with pytest.raises(DeadlineExceededError):
        slots.take(Deadline(0.05))

    async def gives_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(slots.atake(), 0.05)

    asyncio.run(gives_up())
    slots.give()
    slots.take(Deadline(1.0))
    slots.give()
    asyncio.run(asyncio.wait_for(slots.atake(), 1.0))


def test_a_slot_that_is_given_while_its_taker_gives_up_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    slots, set_result = Slots(1), Future.set_result
    slots.take(Deadline(None))

    def slowly(place: Future[Any], result: Any) -> None:
        time.sleep(0.3)
        set_result(place, result)

    monkeypatch.setattr(Future, "set_result", slowly)
    giver = threading.Timer(0.05, slots.give)
    giver.start()
    with pytest.raises(DeadlineExceededError):
        slots.take(Deadline(0.15))  # In the middle of being given the slot.
    giver.join()
    monkeypatch.undo()
    slots.take(Deadline(0.5))
