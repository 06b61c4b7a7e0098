"""Overrides: who sees them, and who does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from rerank_plugins.adapters.overrides import in_effect, override


class Thing:
    pass


def test_the_innermost_block_counts_and_ends_with_its_block() -> None:
    thing, first, second, other = Thing(), Thing(), Thing(), Thing()
    assert in_effect(thing) is thing
    with override(thing, first), override(other, second):
        assert in_effect(thing) is first
        assert in_effect(other) is second
        with override(thing, second) as used:
            assert used is in_effect(thing) is second
        assert in_effect(thing) is first
    assert (in_effect(thing), in_effect(other)) == (thing, other)
    with pytest.raises(ZeroDivisionError), override(thing, first):
        _ = 1 / 0
    assert in_effect(thing) is thing


def test_a_generator_may_be_resumed_and_closed_in_another_context() -> None:
    thing, own, outer = Thing(), Thing(), Thing()

    def steps() -> Iterator[object]:
        with override(thing, own):
            yield in_effect(thing)
        yield in_effect(thing)

    first, second = copy_context(), copy_context()
    running = steps()
    assert first.run(next, running) is own
    assert second.run(next, running) is thing
    closed = steps()
    assert first.run(next, closed) is own
    with override(thing, outer):
        closed.close()  # type: ignore[attr-defined]
        assert in_effect(thing) is outer
    assert in_effect(thing) is thing
    # A context that began with the block has no more of it behind its end.
    third, ended = copy_context(), steps()
    assert third.run(next, ended) is own
    child = third.copy()
    assert child.run(in_effect, thing) is own
    assert child.run(next, ended) is thing


def test_threads_do_not_see_each_others_blocks() -> None:
    thing, barrier = Thing(), threading.Barrier(16)

    def work(_: int) -> bool:
        own = Thing()
        with override(thing, own):
            barrier.wait()
            found = in_effect(thing)
            barrier.wait()
        return found is own and in_effect(thing) is thing

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(16)))


def test_tasks_take_a_block_along_and_do_not_share_it() -> None:
    thing = Thing()

    async def work() -> bool:
        own = Thing()
        with override(thing, own):
            await asyncio.sleep(0)
            child = await asyncio.create_task(look())
            thread = await asyncio.to_thread(in_effect, thing)
            return child is thread is own

    async def look() -> object:
        return in_effect(thing)

    async def main() -> list[bool]:
        return await asyncio.gather(*(work() for _ in range(16)))

    assert all(asyncio.run(main()))
    assert in_effect(thing) is thing
