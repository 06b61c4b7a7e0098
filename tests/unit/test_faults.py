"""What happens in a busy server: cancelled calls, closed loops, close() while calls are in flight."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tiny_checkpoints

from rerank_plugins import Reranker
from rerank_plugins.errors import EngineClosedError
from rerank_plugins.testing import standstill

QUERY = "What do pandas eat?"


@pytest.fixture
def reranker(bert_reranker_folder: Path) -> Reranker:
    return Reranker(bert_reranker_folder, device="cpu")


def test_a_cancellation_storm_leaves_the_others_right(reranker: Reranker) -> None:
    expected = [one.score for one in reranker.rank(QUERY, tiny_checkpoints.SENTENCES)]

    async def storm() -> list[list[float]]:
        tasks = [asyncio.create_task(reranker.arank(QUERY, tiny_checkpoints.SENTENCES)) for _ in range(120)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        finished = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, (list, asyncio.CancelledError)) for result in finished)
        return [[one.score for one in result] for result in finished[1::2] if isinstance(result, list)]

    kept = asyncio.run(storm())
    assert len(kept) == 60
    for scores in kept:
        assert scores == pytest.approx(expected, abs=1e-5)


def test_a_loop_that_is_closed_in_the_middle_of_a_call_hurts_nobody(reranker: Reranker) -> None:
    loop = asyncio.new_event_loop()
    with standstill(reranker):
        task = loop.create_task(reranker.arank(QUERY, tiny_checkpoints.SENTENCES))
        loop.run_until_complete(asyncio.sleep(0.1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()
    assert len(reranker.rank(QUERY, tiny_checkpoints.SENTENCES)) == len(tiny_checkpoints.SENTENCES)


def test_close_while_calls_are_in_flight(tmp_path: Path) -> None:
    reranker = Reranker(tiny_checkpoints.bert_reranker(tmp_path / "busy"), device="cpu")
    pairs = [(QUERY, text) for text in tiny_checkpoints.SENTENCES]
    started = threading.Barrier(9)

    def call() -> str:
        started.wait(10)
        try:
            for _ in range(200):
                assert len(reranker.score(pairs)) == len(pairs)
        except EngineClosedError:
            return "told"
        return "finished"

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(call) for _ in range(8)]
        started.wait(10)
        reranker.close()
        outcomes = [future.result(30) for future in futures]
    assert set(outcomes) <= {"told", "finished"}
    assert "told" in outcomes


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_reranker_that_was_loaded_before_a_fork_works_in_the_child(bert_reranker_folder: Path) -> None:
    # In an interpreter of its own: pytest's own threads must not be forked.
    code = """
        import os, sys, threading
        from rerank_plugins import Reranker, ScoreCache

        cache = ScoreCache()
        reranker = Reranker({folder!r}, device="cpu", cache=cache)
        pairs = [("pandas eat", "Pandas eat bamboo."), ("pandas eat", "Paris")]
        expected = reranker.score(pairs)
        # Threads that do not come along may hold any of these.
        held, go_on = threading.Event(), threading.Event()

        def hold():
            with reranker._lease._entry.turn, cache._lock:
                held.set()
                go_on.wait(60)

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(60)
        child = os.fork()
        if child == 0:
            ok = reranker.score(pairs) == expected
            other = Reranker({folder!r}, device="cpu").score([*pairs, ("a", "b")])
            ok = ok and all(abs(a - b) < 1e-5 for a, b in zip(other, expected))
            os._exit(0 if ok else 3)
        go_on.set()
        _, status = os.waitpid(child, 0)
        assert reranker.score(pairs) == expected
        sys.exit(os.waitstatus_to_exitcode(status))
    """
    program = textwrap.dedent(code.format(folder=str(bert_reranker_folder)))
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
