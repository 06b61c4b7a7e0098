"""A Ctrl-C at any moment of a call: the model answers afterwards, and what the caller held is given back.

The long version: ``RERANK_INTERRUPT_CALLS=20000 pytest tests/unit/engine/test_interrupts.py``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers"),
]

N_CALLS = int(os.environ.get("RERANK_INTERRUPT_CALLS", "3000"))

PROGRAM = """
    import signal, sys, threading, time
    sys.path[:0] = %(path)r
    import faulthandler
    faulthandler.dump_traceback_later(%(longest_s)d, exit=True)
    from sum_scorer import SumScorer, token_input
    from rerank_plugins.engine.batcher import MicroBatcher
    from rerank_plugins.engine.budget import TokenBudget
    from rerank_plugins.engine.deadline import Deadline
    from rerank_plugins.engine.registry import ModelRegistry
    from rerank_plugins.errors import OverloadedError
    from rerank_plugins.types import EngineOptions

    N_CALLS, N_THREADS = %(calls)d, 32
    limits = EngineOptions(max_waiting_tokens=100_000)
    registry = ModelRegistry()

    def load():
        return MicroBatcher([SumScorer(), SumScorer()], budget=TokenBudget(64), name="test")

    keep = registry.acquire("kept", load)
    done = [0] * (N_THREADS + 1)

    def call(value):
        batcher = keep.value
        reply = batcher.submit([token_input(value), token_input(value, 1)], limits=limits)
        rows = Deadline(60.0).wait(reply).rows
        assert rows[:, 0].tolist() == [value, value + 1], rows

    def work(number):
        for index in range(N_CALLS // N_THREADS):
            call(number * 1000 + index %% 900)
            done[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(N_THREADS)]
    interrupts = 0

    def interrupted(_, frame):
        # Anywhere but in the loop below, which must go on.
        global interrupts
        if frame.f_code.co_name not in ("<module>", "interrupted"):
            interrupts += 1
            raise KeyboardInterrupt

    def own_model(key):
        # Loads, first calls and closes are interrupted too.
        lease = registry.acquire(key, load)
        lease.value.submit([token_input(1)]).result(60)
        lease.close()

    signal.signal(signal.SIGALRM, interrupted)
    for thread in threads:
        thread.start()
    own = 0
    started = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    while True:
        try:
            if not any(thread.is_alive() for thread in threads) and time.monotonic() - started > 5:
                break
            own += 1
            if own %% 5:
                call(500_000)
            else:
                own_model(("own", own %% 3))
        except KeyboardInterrupt:
            pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert interrupts > 100, interrupts
    assert sum(done) == N_CALLS // N_THREADS * N_THREADS, done
    for index in range(10):
        call(index)
    for key in range(3):
        assert registry.acquire(("own", key), load).value.submit([token_input(5)]).result(60).rows[0, 0] == 5
    deadline = time.monotonic() + 30
    while keep.value.stats().waiting_calls and time.monotonic() < deadline:
        time.sleep(0.01)
    stats = keep.value.stats()
    assert (stats.waiting_calls, stats.waiting_tokens, stats.calls_failed) == (0, 0, 0), stats
    assert not keep.value._queue._taken, "an interrupted call is kept"
    keep.close()
    faulthandler.cancel_dump_traceback_later()
    print("calls", sum(done), "own", own, "interrupts", interrupts)
    sys.exit(17)
"""


def test_the_model_answers_after_interrupts_at_any_moment() -> None:
    longest_s = 100 + N_CALLS // 50
    path = [path for path in sys.path if path]
    program = textwrap.dedent(PROGRAM % {"path": path, "calls": N_CALLS, "longest_s": longest_s})
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=longest_s + 60, check=False
    )
    assert result.returncode == 17, result.stdout + result.stderr[-8000:]
