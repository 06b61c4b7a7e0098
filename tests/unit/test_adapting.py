"""Stand-ins: who sees them, and who does not."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from llm_checkpoints import llm_checkpoint

from rerank_plugins import LayerOptions, Reranker
from rerank_plugins.adapting import check_one_layer, check_scorer, stand_in, using
from rerank_plugins.errors import InvalidInputError


class Thing:
    pass


def test_the_innermost_block_counts_and_ends_with_its_block() -> None:
    thing, first, second, other = Thing(), Thing(), Thing(), Thing()
    assert stand_in(thing) is thing
    with using(thing, first), using(other, second):
        assert stand_in(thing) is first
        assert stand_in(other) is second
        with using(thing, second) as used:
            assert used is stand_in(thing) is second
        assert stand_in(thing) is first
    assert (stand_in(thing), stand_in(other)) == (thing, other)
    with pytest.raises(ZeroDivisionError), using(thing, first):
        _ = 1 / 0
    assert stand_in(thing) is thing


def test_threads_do_not_see_each_others_blocks() -> None:
    thing, barrier = Thing(), threading.Barrier(16)

    def work(_: int) -> bool:
        own = Thing()
        with using(thing, own):
            barrier.wait()
            found = stand_in(thing)
            barrier.wait()
        return found is own and stand_in(thing) is thing

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(16)))


def test_tasks_take_a_block_along_and_do_not_share_it() -> None:
    thing = Thing()

    async def work() -> bool:
        own = Thing()
        with using(thing, own):
            await asyncio.sleep(0)
            child = await asyncio.create_task(look())
            thread = await asyncio.to_thread(stand_in, thing)
            return child is thread is own

    async def look() -> object:
        return stand_in(thing)

    async def main() -> list[bool]:
        return await asyncio.gather(*(work() for _ in range(16)))

    assert all(asyncio.run(main()))
    assert stand_in(thing) is thing


def test_one_layer_is_what_a_ranking_needs() -> None:
    with Reranker(llm_checkpoint("tiny-minicpm-layerwise"), device="cpu") as reranker:
        check_one_layer(reranker, None)
        check_one_layer(reranker, LayerOptions(cutoff_layers=(4,)))
        with pytest.raises(InvalidInputError, match=r"asks for 2; give one layer.*score_layers\(\)"):
            check_one_layer(reranker, LayerOptions(cutoff_layers=(2, 4)))
        with pytest.raises(InvalidInputError, match="from 2 to 6"):
            check_one_layer(reranker, LayerOptions(cutoff_layers=(7,)))
        check_scorer(reranker, owner="Any", scorers=(), instead="Other")
        check_scorer(reranker, owner="Layerwise", scorers={"layerwise"}, instead="Other")
        with pytest.raises(InvalidInputError, match=r"Light is for .*lightweight; .*'layerwise'. Use Other\(model='"):
            check_scorer(reranker, owner="Light", scorers={"lightweight"}, instead="Other")
