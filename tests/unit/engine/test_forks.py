"""Children that are forked while threads score, load and tokenise: each scores, and loads, or is told why not.

The long version: ``RERANK_FORKS=500 pytest tests/unit/engine/test_forks.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")]

N_FORKS = int(os.environ.get("RERANK_FORKS", "40"))

PROGRAM = """
    import faulthandler, os, random, sys, threading, time
    from rerank_plugins import Reranker, ScoreCache
    from rerank_plugins.engine.registry import MODELS

    FOLDER, N_FORKS = %(folder)r, %(forks)d
    words = "panda bamboo eats paris tower river stone light music glass".split()
    cache = ScoreCache()
    reranker = Reranker(FOLDER, device="cpu,cpu", cache=cache)
    fixed = [("pandas eat", "Pandas eat bamboo."), ("pandas eat", "Paris")]
    expected = reranker.score(fixed)
    stop = threading.Event()

    def traffic(seed):
        rng = random.Random(seed)
        while not stop.is_set():
            pairs = [(" ".join(rng.choices(words, k=4)), " ".join(rng.choices(words, k=30))) for _ in range(5)]
            assert len(reranker.score(pairs)) == 5

    def loads():
        while not stop.is_set():
            with Reranker(FOLDER, device="cpu") as other:
                other.score(fixed)

    threads = [threading.Thread(target=traffic, args=(seed,)) for seed in range(4)] + [threading.Thread(target=loads)]
    for thread in threads:
        thread.start()

    def child():
        faulthandler.dump_traceback_later(60, exit=True)
        near = lambda scores: all(abs(a - b) < 1e-5 for a, b in zip(scores, expected))
        ok = near(reranker.score(fixed)) and near(reranker.score([*fixed, ("a", "b")]))
        with Reranker(FOLDER, device="cpu") as own:
            ok = ok and near(own.score([*fixed, ("c", "d")]))
        return 0 if ok else 3

    bad = 0
    rng = random.Random(7)
    for number in range(N_FORKS):
        time.sleep(rng.random() * 0.02)
        pid = os.fork()
        if pid == 0:
            code = 4
            try:
                code = child()
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        bad += code != 0
        if code:
            print("child", number, "ended with", code, file=sys.stderr)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert reranker.score(fixed) == expected
    sys.exit(bad)
"""


def test_children_forked_under_traffic_and_during_loads_all_answer(bert_reranker_folder: Path) -> None:
    program = textwrap.dedent(PROGRAM % {"folder": str(bert_reranker_folder), "forks": N_FORKS})
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=200 + 5 * N_FORKS, check=False
    )
    assert result.returncode == 0, result.stderr[-8000:]


def test_a_child_that_waits_for_a_call_of_its_parent_is_told() -> None:
    code = """
        import os, sys, time
        sys.path[:0] = %r
        from sum_scorer import SumScorer, token_input
        from rerank_plugins.engine.batcher import MicroBatcher
        from rerank_plugins.engine.budget import TokenBudget
        from rerank_plugins.errors import EngineClosedError

        class Slow(SumScorer):
            def forward(self, batch):
                time.sleep(0.3)
                return super().forward(batch)

        batcher = MicroBatcher([Slow()], budget=TokenBudget(1), name="test")
        call = batcher.submit([token_input(number) for number in range(4)])
        child = os.fork()
        if child == 0:
            try:
                call.result(20)
                os._exit(3)
            except EngineClosedError as error:
                os._exit(0 if "forked" in str(error) else 4)
        assert len(call.result(20).rows) == 4
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    program = textwrap.dedent(code % [path for path in sys.path if path])
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
