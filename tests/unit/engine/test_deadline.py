"""Deadlines: a late result is an error, a result in time is not, and nothing runs for nobody."""

from __future__ import annotations

import asyncio
import threading

import pytest

from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.engine.reply import Reply
from rerank_plugins.errors import DeadlineExceededError


def finished(value: int) -> Reply[int]:
    future: Reply[int] = Reply()
    future.succeed(value)
    return future


def test_in_time() -> None:
    assert Deadline(None).wait(finished(3)) == 3
    assert Deadline(1e-9).wait(finished(3)) == 3
    assert asyncio.run(Deadline(5.0).await_result(finished(3))) == 3


def test_too_late_cancels_the_work() -> None:
    waiting: Reply[int] = Reply()
    with pytest.raises(DeadlineExceededError, match=r"deadline_s=0\.01"):
        Deadline(0.01).wait(waiting)
    assert waiting.cancelled()

    async def late(future: Reply[int]) -> int:
        return await Deadline(0.01).await_result(future)

    also_waiting: Reply[int] = Reply()
    with pytest.raises(DeadlineExceededError, match=r"deadline_s=0\.01"):
        asyncio.run(late(also_waiting))
    assert also_waiting.cancelled()


def test_what_is_late_already_is_not_queued() -> None:
    Deadline(None).check()
    Deadline(60.0).check()
    late = Deadline(1e-9)
    with pytest.raises(DeadlineExceededError):
        late.check()
    with pytest.raises(DeadlineExceededError):
        late.left_s()  # No seconds that another call could be given.
    assert Deadline(None).left_s() is None
    assert 0.0 < (Deadline(60.0).left_s() or 0.0) <= 60.0


def test_it_is_a_timeout_error_too() -> None:
    with pytest.raises(TimeoutError):
        Deadline(0.001).wait(Reply())


def test_an_error_of_the_work_stays_what_it_is() -> None:
    failed: Reply[int] = Reply()
    failed.fail(ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        Deadline(1.0).wait(failed)


def test_a_cancelled_task_cancels_the_work() -> None:
    waiting: Reply[int] = Reply()

    async def cancel() -> None:
        task = asyncio.create_task(Deadline(None).await_result(waiting))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert waiting.cancelled()


def test_a_thread_may_wait_while_another_finishes() -> None:
    future: Reply[int] = Reply()
    threading.Timer(0.02, future.succeed, args=(4,)).start()
    assert Deadline(10.0).wait(future) == 4


@pytest.mark.parametrize("seconds", [1e7, 1e12, 1e300])
def test_a_deadline_beyond_what_a_clock_can_hold_is_none(seconds: float) -> None:
    waiting: Reply[int] = Reply()
    threading.Timer(0.01, waiting.succeed, (3,)).start()
    assert Deadline(seconds).wait(waiting) == 3
    assert asyncio.run(Deadline(seconds).await_result(finished(3))) == 3
