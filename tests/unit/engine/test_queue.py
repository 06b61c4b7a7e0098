"""The queue under load: turns, limits, replicas, dead workers, forks, and numbers that add up."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sum_scorer import SumScorer, token_input

from rerank_plugins.engine.batcher import MicroBatcher
from rerank_plugins.engine.budget import TokenBudget
from rerank_plugins.engine.calls import KnownRows
from rerank_plugins.engine.schedule import MERGED_BUDGETS, PIECE_BUDGETS
from rerank_plugins.engine.score_cache import ScoreCache
from rerank_plugins.errors import InvalidInputError, OverloadedError, ScoringError
from rerank_plugins.protocols import Batch, PairSegments, PrefixSharing, TokenInput
from rerank_plugins.types import EngineOptions


class GatedScorer(SumScorer):
    """Waits for a permit before each forward and remembers the ids that ran."""

    def __init__(self) -> None:
        super().__init__(is_padded=False)
        self.permits = threading.Semaphore(0)
        self.started = threading.Semaphore(0)
        self.ran: list[int] = []

    def forward(self, batch: Batch) -> torch.Tensor:
        self.started.release()
        assert self.permits.acquire(timeout=10)
        self.ran += [int(one.ids[0]) for one in batch.inputs]
        return super().forward(batch)


class RecordingScorer(SumScorer):
    """Takes a moment, so that the other copies get their share."""

    def forward(self, batch: Batch) -> torch.Tensor:
        time.sleep(0.002)
        return super().forward(batch)


def batcher_of(*scorers: SumScorer, tokens: int = 1000) -> MicroBatcher:
    return MicroBatcher(list(scorers), budget=TokenBudget(tokens), name="test")


def occupied(tokens: int = 4) -> tuple[MicroBatcher, GatedScorer]:
    """Return a batcher whose worker stands in a forward of its own."""
    scorer = GatedScorer()
    batcher = batcher_of(scorer, tokens=tokens)
    batcher.submit([token_input(999)])
    assert scorer.started.acquire(timeout=10)
    return batcher, scorer


def test_a_short_call_does_not_wait_for_a_long_one() -> None:
    batcher, scorer = occupied(tokens=4)
    n_long = 4 * PIECE_BUDGETS * 3
    long = batcher.submit([token_input(index) for index in range(n_long)])
    short = batcher.submit([token_input(500)])
    for _ in range(1000):
        scorer.permits.release()
    assert short.result(10).rows[0, 0] == 500
    assert long.result(10).rows[:, 0].tolist() == list(range(n_long))
    # After the first piece of the long call, not after all of it.
    assert scorer.ran.index(500) <= 1 + 4 * PIECE_BUDGETS
    batcher.close()


def test_calls_that_wait_fill_common_batches_up_to_a_limit() -> None:
    batcher, scorer = occupied(tokens=4)
    n_calls = 2 * MERGED_BUDGETS
    # Three tokens each: alone, every call would leave a quarter of its batch empty.
    calls = [batcher.submit([token_input(index), token_input(index, 0)]) for index in range(n_calls)]
    for _ in range(1000):
        scorer.permits.release()
    assert [call.result(10).rows[:, 0].tolist() for call in calls] == [[index, index] for index in range(n_calls)]
    limit = 4 * MERGED_BUDGETS
    together = limit // 3  # calls of three tokens within the limit
    assert sorted(scorer.ran[1 : 1 + 2 * together]) == sorted([*range(together)] * 2)
    assert batcher.stats().batches - 1 < n_calls
    batcher.close()


def test_cancelling_in_the_middle_drops_the_batches_that_have_not_run() -> None:
    scorer = GatedScorer()
    batcher = batcher_of(scorer, tokens=1)
    call = batcher.submit([token_input(index) for index in range(5)])
    assert scorer.started.acquire(timeout=10)
    assert call.cancel()
    for _ in range(10):
        scorer.permits.release()
    assert batcher.submit([token_input(7)]).result(10).rows[0, 0] == 7
    assert scorer.ran == [0, 7]
    stats = batcher.stats()
    assert (stats.calls, stats.calls_cancelled, stats.inputs_dropped) == (2, 1, 4)
    batcher.close()


def test_a_full_queue_refuses_and_says_so() -> None:
    batcher, scorer = occupied()
    limits = EngineOptions(max_waiting_tokens=5)
    # On an idle queue a call is taken whatever its size.
    taken = batcher.submit([token_input(*range(1, 9))], limits=limits)
    with pytest.raises(OverloadedError, match="max_waiting_tokens=5"):
        batcher.submit([token_input(1)], limits=limits)
    unlimited = batcher.submit([token_input(1)])
    for _ in range(10):
        scorer.permits.release()
    assert taken.result(10).rows[0, 0] == 36
    assert unlimited.result(10).rows[0, 0] == 1
    assert batcher.submit([token_input(2)], limits=limits).result(10).rows[0, 0] == 2
    assert batcher.stats().calls_refused == 1
    batcher.close()


def test_a_call_that_just_fits_the_queue_is_taken() -> None:
    batcher, scorer = occupied()
    limits = EngineOptions(max_waiting_tokens=5)
    taken = [batcher.submit([token_input(*ids)], limits=limits) for ids in ((1, 2, 3), (4, 5))]
    with pytest.raises(OverloadedError, match="5 tokens wait"):
        batcher.submit([token_input(6)], limits=limits)
    for _ in range(10):
        scorer.permits.release()
    assert [call.result(10).rows[0, 0] for call in taken] == [6, 9]
    batcher.close()


def test_groups_of_one_call_are_admitted_together() -> None:
    batcher, scorer = occupied()
    limits = EngineOptions(max_waiting_tokens=5)
    # On an idle queue all groups are taken, whatever their size.
    taken = batcher.submit_groups([([token_input(1, 1, 1, 1)], "a"), ([token_input(2, 2, 2, 2)], "b")], limits=limits)
    with pytest.raises(OverloadedError, match="8 tokens wait"):
        batcher.submit_groups([([token_input(3)], "a")], limits=limits)
    for _ in range(10):
        scorer.permits.release()
    assert [reply.result(10).rows[0, 0] for reply in taken] == [4, 8]
    batcher.close()


def test_no_group_of_a_refused_call_stays() -> None:
    batcher, scorer = occupied()
    limits = EngineOptions(max_waiting_tokens=5)
    taken = batcher.submit([token_input(1, 1, 1)], limits=limits)
    with pytest.raises(OverloadedError, match=r"3 tokens wait .* this call's 4"):
        batcher.submit_groups([([token_input(2, 2)], "a"), ([token_input(3, 3)], "b")], limits=limits)
    assert batcher.stats().waiting_tokens == 3
    for _ in range(10):
        scorer.permits.release()
    assert taken.result(10).rows[0, 0] == 3
    batcher.close()


def test_cancelled_calls_leave_the_queue_at_once() -> None:
    batcher, scorer = occupied()
    limits = EngineOptions(max_waiting_tokens=5)
    assert batcher.submit([token_input(1, 1, 1, 1)], limits=limits).cancel()
    kept = batcher.submit([token_input(2, 2, 2, 2)], limits=limits)
    scorer.permits.release()
    scorer.permits.release()
    assert kept.result(10).rows[0, 0] == 8
    batcher.close()


def test_a_call_that_may_wait_shares_its_batch_with_a_later_one() -> None:
    scorer = SumScorer(is_padded=False)
    batcher = batcher_of(scorer)
    patient = EngineOptions(max_wait_ms=10_000.0, max_batch_tokens=4)
    first = batcher.submit([token_input(1, 1)], limits=patient)
    second = batcher.submit([token_input(2, 2)], limits=patient)
    # The batch is full, so nobody waits ten seconds.
    assert first.result(5).rows[0, 0] == 2
    assert second.result(5).rows[0, 0] == 4
    assert scorer.batches == [[2, 2]]
    batcher.close()


def test_a_call_that_waited_long_enough_runs_alone() -> None:
    batcher = batcher_of(SumScorer())
    assert batcher.submit([token_input(3)], limits=EngineOptions(max_wait_ms=20.0)).result(10).rows[0, 0] == 3
    batcher.close()


def test_copies_of_a_model_share_the_work() -> None:
    copies = [RecordingScorer(is_padded=False) for _ in range(3)]
    batcher = batcher_of(*copies, tokens=4)
    inputs = [token_input(index) for index in range(4 * PIECE_BUDGETS * 6)]
    assert batcher.submit(inputs).result(30).rows[:, 0].tolist() == list(range(len(inputs)))
    assert all(copy.batches for copy in copies)
    batcher.close()
    assert all(copy.closed for copy in copies)


class MortalScorer(SumScorer):
    """Ends its thread, as an interpreter that shuts down would, on the id 13."""

    def forward(self, batch: Batch) -> torch.Tensor:
        if any(13 in one.ids for one in batch.inputs):
            raise SystemExit
        return super().forward(batch)


def test_a_worker_that_dies_leaves_no_one_waiting() -> None:
    batcher = batcher_of(MortalScorer())
    with pytest.raises(ScoringError, match="worker thread of model 'test' died"):
        batcher.submit([token_input(13)]).result(10)
    assert batcher.submit([token_input(5)]).result(10).rows[0, 0] == 5
    assert batcher.stats().calls_failed == 1
    batcher.close()


def test_calls_behind_a_dying_worker_are_served_by_the_next_one() -> None:
    class Gate(MortalScorer):
        gate = threading.Event()

        def forward(self, batch: Batch) -> torch.Tensor:
            assert self.gate.wait(10)
            return super().forward(batch)

    scorer = Gate()
    batcher = batcher_of(scorer)
    dying = batcher.submit([token_input(13)], options="a")
    behind = [batcher.submit([token_input(index)], options="b") for index in range(20, 24)]
    scorer.gate.set()
    with pytest.raises(ScoringError):
        dying.result(10)
    assert [future.result(10).rows[0, 0] for future in behind] == [20, 21, 22, 23]
    batcher.close()


def test_out_of_memory_at_the_third_batch_keeps_what_is_done() -> None:
    class ThirdFails(SumScorer):
        def forward(self, batch: Batch) -> torch.Tensor:
            if len(self.batches) == 2 and batch.lengths == [4, 4]:
                raise torch.OutOfMemoryError
            return super().forward(batch)

    scorer = ThirdFails(is_padded=False)
    batcher = batcher_of(scorer, tokens=8)
    inputs = [token_input(*[index] * 4) for index in range(6)]
    assert batcher.submit(inputs).result(10).rows[:, 0].tolist() == [4.0 * index for index in range(6)]
    assert scorer.batches == [[4, 4], [4, 4], [4], [4]]
    stats = batcher.stats()
    # Two batches of 8 tokens ran before, so the budget stays at that.
    assert (stats.out_of_memory, stats.batch_tokens, stats.batches) == (1, 8, 4)
    batcher.close()


def test_known_rows_do_not_run_again() -> None:
    scorer, cache = SumScorer(), ScoreCache(max_entries=2)
    batcher = batcher_of(scorer)
    known = KnownRows(cache, "model")

    def rows(*inputs: int, options: str = "a") -> list[float]:
        answer = batcher.submit([token_input(one) for one in inputs], known=known, options=options).result(10)
        return [float(row[0]) for row in answer.rows]

    assert rows(1, 2) == [1.0, 2.0]
    assert rows(2, 1, 2) == [2.0, 1.0, 2.0]
    assert scorer.batches == [[1, 1]]
    assert rows(2, options="b") == [2.0]
    assert len(scorer.batches) == 2
    info = cache.info()
    assert (info.hits, info.misses, info.entries) == (2, 3, 2)
    # Two entries are kept: what was asked for longest ago, 2 with the options "a", had to go.
    assert rows(1) == [1.0]
    assert len(scorer.batches) == 2
    assert rows(2) == [2.0]
    assert len(scorer.batches) == 3
    cache.clear()
    assert rows(2) == [2.0]
    assert len(scorer.batches) == 4
    with pytest.raises(InvalidInputError, match="max_entries"):
        ScoreCache(max_entries=0)
    batcher.close()


def test_the_numbers_add_up_over_many_threads() -> None:
    scorer = SumScorer(is_padded=False)
    batcher = batcher_of(scorer, tokens=16)
    rng = np.random.default_rng(0)
    requests = [
        [token_input(*rng.integers(1, 50, size=rng.integers(1, 9)).tolist()) for _ in range(7)] for _ in range(64)
    ]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda inputs: batcher.submit(inputs).result(30), requests))
    for inputs, answer in zip(requests, answers, strict=True):
        assert answer.rows[:, 0].tolist() == [float(one.ids.sum()) for one in inputs]
        assert answer.queue_s >= 0
        assert answer.forward_s >= 0
    stats = batcher.stats()
    assert (stats.calls, stats.calls_failed, stats.calls_cancelled, stats.calls_refused) == (64, 0, 0, 0)
    assert stats.inputs == 64 * 7
    assert stats.batches == len(scorer.batches)
    assert stats.tokens == sum(map(sum, scorer.batches))
    assert stats.inputs - stats.inputs_reused == sum(map(len, scorer.batches))
    assert (stats.padding_tokens, stats.waiting_calls, stats.waiting_tokens) == (0, 0, 0)
    sizes = Counter(sum(lengths) > 16 for lengths in scorer.batches)
    assert not sizes[True]
    batcher.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_model_that_was_loaded_before_a_fork_works_in_the_child() -> None:
    # In an interpreter of its own: pytest's own threads must not be forked.
    code = """
        import os, sys, threading
        sys.path[:0] = %r
        from sum_scorer import SumScorer, token_input
        from rerank_plugins.engine.batcher import MicroBatcher
        from rerank_plugins.engine.budget import TokenBudget
        from rerank_plugins.errors import EngineClosedError
        import torch

        def batcher(**options):
            return MicroBatcher([SumScorer()], budget=TokenBudget(9), name="test", **options)

        (torch.ones(400, 400) @ torch.ones(400, 400)).sum()
        lives, dies = batcher(), batcher(survives_fork=False)
        assert lives.submit([token_input(1)]).result(10).rows[0, 0] == 1
        assert dies.submit([token_input(1)]).result(10).rows[0, 0] == 1
        # The parent's worker has the turn now and does not come along.
        assert lives._queue._turn.locked()
        child = os.fork()
        if child == 0:
            ok = lives.submit([token_input(2)]).result(10).rows[0, 0] == 2
            (torch.ones(400, 400) @ torch.ones(400, 400)).sum()
            try:
                dies.submit([token_input(2)])
            except EngineClosedError as error:
                ok = ok and "spawn" in str(error)
            else:
                ok = False
            os._exit(0 if ok else 3)
        _, status = os.waitpid(child, 0)
        assert lives.submit([token_input(4)]).result(10).rows[0, 0] == 4
        sys.exit(os.waitstatus_to_exitcode(status))
    """
    program = textwrap.dedent(code % [path for path in sys.path if path])
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert result.returncode == 0, result.stderr


class SharingScorer(SumScorer):
    """Remembers which queries' documents came into each batch."""

    def __init__(self, sharing: PrefixSharing) -> None:
        super().__init__(is_padded=False)
        self.prefix_sharing = sharing
        self.queries: list[list[int]] = []
        self.asked: set[bool] = set()

    def forward(self, batch: Batch) -> torch.Tensor:
        self.queries.append([int(one.ids[0]) for one in batch.inputs])
        self.asked.add(batch.shares_prefixes)
        return super().forward(batch)


USED, UNUSED = PrefixSharing(is_used=True), PrefixSharing(is_used=False, reason="a test")


def pairs_of_queries(n_queries: int, n_documents: int) -> list[TokenInput]:
    """Return pairs whose first token is the query; documents of all lengths for each."""
    inputs = []
    for number in range(n_documents):
        for query in range(1, n_queries + 1):
            ids = np.array([query] + [1] * (1 + number), dtype=np.int32)
            inputs.append(TokenInput(ids, np.zeros_like(ids), PairSegments(0, 1, 1, len(ids))))
    return inputs


@pytest.mark.parametrize(
    ("sharing", "wanted", "together"), [(USED, True, True), (USED, False, False), (UNUSED, True, False)]
)
def test_documents_of_one_query_run_together_where_their_beginning_is_shared(
    sharing: PrefixSharing, *, wanted: bool, together: bool
) -> None:
    # 10 documents of 2 to 11 tokens a query: 65, so that a budget holds one query and a piece some of all.
    scorer, inputs = SharingScorer(sharing), pairs_of_queries(12, 10)
    batcher = batcher_of(scorer, tokens=65)
    answer = batcher.submit(inputs, limits=EngineOptions(share_prefix=wanted)).result(10)
    batcher.close()
    assert answer.rows[:, 0].tolist() == [float(one.ids.sum()) for one in inputs]
    assert scorer.asked == {wanted}
    n_parts = sum(len(set(queries)) for queries in scorer.queries)
    assert n_parts == 12 if together else n_parts > 60


def test_calls_that_share_and_calls_that_do_not_never_share_a_batch() -> None:
    batcher, scorer = occupied(tokens=100)
    futures = [
        batcher.submit([token_input(number)], limits=EngineOptions(share_prefix=wanted))
        for number, wanted in ((1, True), (2, False), (3, True))
    ]
    for _ in range(4):
        scorer.permits.release()
    assert [future.result(10).rows[0, 0] for future in futures] == [1, 2, 3]
    assert scorer.ran == [999, 1, 3, 2]
    batcher.close()
