"""A result's way back: one outcome, no lock, whatever becomes of those who wait."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest

from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.engine.reply import Reply


def test_the_first_outcome_counts() -> None:
    reply: Reply[int] = Reply()
    assert not reply.done()
    assert reply.succeed(3)
    assert not reply.fail(ValueError())
    assert not reply.cancel()
    assert (reply.done(), reply.cancelled(), reply.result()) == (True, False, 3)


def test_none_is_a_result() -> None:
    reply: Reply[None] = Reply()
    reply.succeed(None)
    assert reply.result(0.0) is None


def test_a_cancelled_reply_takes_no_result() -> None:
    told: list[str] = []
    reply: Reply[int] = Reply(lambda: told.append("cancelled"))
    assert reply.cancel()
    assert not reply.cancel()
    assert not reply.succeed(3)
    assert reply.cancelled()
    assert told == ["cancelled"]
    with pytest.raises(CancelledError):
        reply.result()


def test_waiting_ends_with_the_time_and_may_be_repeated() -> None:
    reply: Reply[int] = Reply()
    with pytest.raises(TimeoutError):
        reply.result(0.01)
    threading.Timer(0.02, reply.succeed, (4,)).start()
    assert reply.result(10) == 4
    assert reply.result(10) == 4


def test_exactly_one_of_many_deciders_wins_and_all_waiters_see_it() -> None:
    for _ in range(200):
        reply: Reply[int] = Reply()
        start = threading.Barrier(8)
        won: list[int] = []
        seen: list[int] = []

        def decide(value: int, reply: Reply[int] = reply, start: threading.Barrier = start) -> None:
            start.wait(10)
            if reply.succeed(value):
                won.append(value)  # noqa: B023

        def wait(reply: Reply[int] = reply, start: threading.Barrier = start) -> None:
            start.wait(10)
            seen.append(reply.result(10))  # noqa: B023

        threads = [threading.Thread(target=decide, args=(value,)) for value in range(4)]
        threads += [threading.Thread(target=wait) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert len(won) == 1
        assert seen == won * 4


def test_a_waiter_that_was_thrown_out_does_not_hold_up_the_worker() -> None:
    reply: Reply[int] = Reply()

    async def give_up() -> None:
        await asyncio.wait_for(Deadline(None).await_result(reply), 0.01)

    loop = asyncio.new_event_loop()
    with pytest.raises(asyncio.TimeoutError):
        loop.run_until_complete(give_up())
    loop.close()
    # Cancelled with the task; another one whose loop is closed without a word is told to nobody.
    assert reply.cancelled()
    silent: Reply[int] = Reply()
    loop = asyncio.new_event_loop()
    waiting = Deadline(None).await_result(silent)
    loop.call_soon(loop.stop)
    task = loop.create_task(waiting)
    loop.run_forever()
    loop.close()
    assert silent.succeed(1)
    assert not task.done()
    task._log_destroy_pending = False  # type: ignore[attr-defined]


def test_what_asyncio_cannot_carry_reaches_the_awaiting_caller() -> None:
    async def call() -> None:
        reply: Reply[int] = Reply()
        asyncio.get_running_loop().call_later(0.01, reply.fail, ValueError("broken"))
        await Deadline(10.0).await_result(reply)

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(call())
