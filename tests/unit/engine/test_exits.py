"""Processes that end at a random moment of a call: their own exit code, no abort, and soon.

The long version: ``RERANK_EXITS=200 pytest tests/unit/engine/test_exits.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")]

N_EXITS = int(os.environ.get("RERANK_EXITS", "24"))

# Each child is forked from a process that has imported everything, and ends as any interpreter does.
PROGRAM = """
    import contextlib, io, os, random, select, signal, sys, threading, time
    from rerank_plugins import Reranker
    from rerank_plugins.errors import DeadlineExceededError, EngineClosedError

    FOLDER, N_EXITS, LONGEST_S = %(folder)r, %(exits)d, %(longest_s)f
    pairs = [("what do pandas eat", "panda bamboo eats paris tower river stone " * 8) for _ in range(150)]
    pairs = [(query, f"{text} {number}") for number, (query, text) in enumerate(pairs)]
    # Loaded before the children are forked, so that no child spends its time on that.
    reranker = Reranker(FOLDER, device="cpu")
    reranker.score(pairs[:2])

    def endless():
        with contextlib.suppress(EngineClosedError):
            while True:
                reranker.score(pairs)

    def missed_deadline(wait_s):
        with contextlib.suppress(DeadlineExceededError):
            reranker.score(pairs, deadline_s=max(wait_s, 1e-3))
        sys.exit(7)

    def daemons(wait_s):
        for _ in range(3):
            threading.Thread(target=endless, daemon=True).start()
        time.sleep(wait_s)
        sys.exit(0)

    def error(wait_s):
        threading.Thread(target=endless, daemon=True).start()
        time.sleep(wait_s)
        raise ValueError("the program's own")

    def interrupt(wait_s):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Thread(target=lambda: (time.sleep(wait_s), os.kill(os.getpid(), signal.SIGINT)), daemon=True).start()
        while True:
            reranker.score(pairs)

    KINDS = [(missed_deadline, 7), (daemons, 0), (error, 1), (interrupt, -signal.SIGINT)]
    rng = random.Random(3)
    wrong, longest = [], 0.0
    for number in range(N_EXITS):
        kind, expected = KINDS[number %% len(KINDS)]
        wait_s = rng.random() * 0.3
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            sys.stderr = io.StringIO()
            kind(wait_s)
            sys.exit(0)
        while (waited := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() - began < LONGEST_S:
            time.sleep(0.005)
        if waited[0] == 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            wrong.append((number, kind.__name__, "still there"))
            continue
        longest = max(longest, time.monotonic() - began - wait_s)
        code = os.waitstatus_to_exitcode(waited[1])
        if code != expected:
            wrong.append((number, kind.__name__, code))
    print(f"longest: {longest:.2f} s", flush=True)
    os.write(2, repr(wrong).encode())
    os._exit(1 if wrong else 0)
"""


def test_processes_that_end_in_the_middle_of_a_call_keep_their_exit_code(bert_reranker_folder: Path) -> None:
    # Two seconds on a quiet machine; nobody measures on a busy one.
    program = textwrap.dedent(PROGRAM % {"folder": str(bert_reranker_folder), "exits": N_EXITS, "longest_s": 30.0})
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=200 + 5 * N_EXITS, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr[-8000:]


def test_a_batch_that_takes_long_ends_at_its_next_operation() -> None:
    code = """
        import sys, time
        sys.path[:0] = %r
        import torch
        from sum_scorer import SumScorer, token_input
        from rerank_plugins.engine.batcher import MicroBatcher
        from rerank_plugins.engine.budget import TokenBudget

        class Large(SumScorer):
            def forward(self, batch):
                ones = torch.ones(200, 200)
                until = time.monotonic() + 60
                while time.monotonic() < until:
                    ones = (ones @ ones).clamp(0, 1)
                return super().forward(batch)

        batcher = MicroBatcher([Large()], budget=TokenBudget(9), name="test")
        batcher.submit([token_input(1)]).wait(0.3)
        sys.exit(9)
    """
    program = textwrap.dedent(code % [path for path in sys.path if path])
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=45, check=False)
    assert result.returncode == 9, result.stderr


LOADING = """
    import sys, threading, time
    from rerank_plugins import Reranker

    def load():
        Reranker(sys.argv[1], device="cpu").score([("a", "b")])

    threading.Thread(target=load, daemon=True).start()
    time.sleep(float(sys.argv[2]))
    sys.exit(7)
"""


@pytest.mark.parametrize("wait_s", [0.1, 0.6, 1.2])
def test_a_process_that_ends_during_a_load_keeps_its_exit_code(bert_reranker_folder: Path, wait_s: float) -> None:
    # What the load's last error held is freed by torch, when the interpreter may be gone already.
    command = [sys.executable, "-c", textwrap.dedent(LOADING), str(bert_reranker_folder), str(wait_s)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 7, result.stderr[-4000:]
