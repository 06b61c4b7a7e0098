"""A real SIGINT at any moment of the facades' calls: the model answers afterwards, the same, and nothing is owed.

The long version: ``RERANK_INTERRUPT_CALLS=20000 pytest tests/unit/test_interrupted_calls.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the signals come from a forked process"),
]

N_CALLS = int(os.environ.get("RERANK_INTERRUPT_CALLS", "120"))

PROGRAM = """
    import faulthandler, os, random, signal, threading, time
    faulthandler.dump_traceback_later(%(longest_s)d, exit=True)
    from rerank_plugins import Embedder, Reranker

    N_CALLS, N_THREADS = %(calls)d, 31
    reranker, embedder = Reranker("mini"), Embedder("mini")
    texts = [f"document {number} about thing {number %% 7}" + " word" * (number %% 9) for number in range(12)]
    pairs = [("thing", text) for text in texts]
    expected = reranker.score(pairs)
    done, faults, interrupts = [0] * N_THREADS, [], 0

    def work(number):
        chance = random.Random(number)
        while sum(done) < N_CALLS:
            some = chance.randint(1, len(pairs))
            try:
                scores = reranker.score(pairs[:some])
                if max(abs(one - other) for one, other in zip(scores, expected)) > 1e-4:
                    faults.append(scores)
            except BaseException as error:
                faults.append(error)
            done[number] += 1

    def call(chance):
        kind = chance.random()
        if kind < 0.6:
            reranker.score(pairs[: chance.randint(1, len(pairs))])
        elif kind < 0.75:
            reranker.rank("thing", texts, top_n=3, deadline_s=30)
        elif kind < 0.85:
            embedder.embed_queries(["a", "b thing"])
        elif kind < 0.95:
            list(reranker.score_stream(iter(pairs)))
        else:
            Reranker("mini").score(pairs[:1])

    def interrupt(number, frame):
        # Only in a call: nothing around it owes anything. As often as they come, so while one is handled as well.
        while frame is not None:
            if frame.f_code is call.__code__:
                raise KeyboardInterrupt
            frame = frame.f_back

    signal.signal(signal.SIGINT, interrupt)
    me = os.getpid()
    sender = os.fork()
    if not sender:
        chance = random.Random(1)
        while os.getppid() == me:
            time.sleep(chance.uniform(0.001, 0.006))
            os.kill(me, signal.SIGINT)
        os._exit(0)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(N_THREADS)]
    for thread in threads:
        thread.start()
    chance = random.Random(0)
    while sum(done) < N_CALLS:
        try:
            call(chance)
        except KeyboardInterrupt:
            interrupts += 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.kill(sender, signal.SIGKILL)
    os.waitpid(sender, 0)
    for thread in threads:
        thread.join()
    assert not faults, faults[:3]
    assert interrupts > 20, interrupts
    assert max(abs(one - other) for one, other in zip(reranker.score(pairs), expected)) < 1e-4
    stats = reranker.stats()
    assert (stats.waiting_calls, stats.waiting_tokens, stats.calls_failed) == (0, 0, 0), stats
    print("calls", sum(done), "interrupts", interrupts)
    faulthandler.cancel_dump_traceback_later()
"""


def test_the_model_answers_after_real_interrupts_of_its_calls() -> None:
    pytest.importorskip("rerank_plugins_mini")
    longest_s = 180 + N_CALLS // 4
    program = textwrap.dedent(PROGRAM % {"calls": N_CALLS, "longest_s": longest_s})
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=longest_s + 60, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr[-8000:]
