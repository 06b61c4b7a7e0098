"""Whoever gives up takes everything with it that the call had queued: deadlines and abandoned streams."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from embedder_checkpoints import bge_m3

from rerank_plugins import Embedder, EngineOptions, EngineStats, Reranker, SourceOptions
from rerank_plugins.errors import DeadlineExceededError
from rerank_plugins.protocols import Batch
from rerank_plugins.testing import standstill

TEXTS = ["Paris is the capital.", "Berlin is in Germany.", "Cats purr " * 30, "Dogs bark " * 12]


@contextmanager
def held(model: Embedder) -> Iterator[threading.Event]:
    """Keep the model busy with its first batch until the block ends; gives what is set when that has begun."""
    go_on, busy = threading.Event(), threading.Event()
    (scorer,) = model._lease.value.batcher._scorers
    forward = scorer.forward

    def waiting(batch: Batch) -> object:
        busy.set()
        go_on.wait(30.0)
        return forward(batch)

    vars(scorer)["forward"] = waiting
    try:
        yield busy
    finally:
        del vars(scorer)["forward"]
        go_on.set()


def settled(stats: Callable[[], EngineStats], *, dropped: int = 0) -> EngineStats:
    """Return the counters when nothing is under way any more, and the worker has met what was cancelled."""
    until_s = time.monotonic() + 30
    while (stats().waiting_calls or stats().inputs_dropped < dropped) and time.monotonic() < until_s:
        time.sleep(0.01)
    return stats()


@pytest.mark.parametrize("name", ["encode_queries", "encode_documents"])
def test_a_missed_deadline_cancels_every_group(tmp_path: Path, name: str) -> None:
    folder = bge_m3(tmp_path, pickled=False)
    patient = Embedder(folder, device="cpu", source=SourceOptions(family="bge"))
    hasty = Embedder(folder, device="cpu", engine=EngineOptions(deadline_s=0.3), source=SourceOptions(family="bge"))
    with held(patient) as busy:
        blocker = threading.Thread(target=patient.embed_documents, args=(["in front"],))
        blocker.start()
        assert busy.wait(30)
        before = patient.stats()
        with pytest.raises(DeadlineExceededError):
            getattr(hasty, name)(TEXTS)
    blocker.join(30)
    after = settled(patient.stats, dropped=before.inputs_dropped + len(TEXTS))
    n_groups = after.calls - before.calls
    assert n_groups > 1
    assert after.calls_cancelled - before.calls_cancelled == n_groups
    assert after.inputs_dropped - before.inputs_dropped == len(TEXTS)


def test_an_abandoned_stream_drops_what_it_had_read_ahead(bert_reranker_folder: Path) -> None:
    reranker = Reranker(bert_reranker_folder, device="cpu")
    stream = reranker.score_stream((("query", f"text {number}") for number in range(100)), chunk_pairs=5)
    # Three chunks are read ahead of the first score, a fourth with the sixth; all of them run.
    taken = [next(stream) for _ in range(6)]
    settled(reranker.stats)
    with standstill(reranker):
        # With the eleventh the fifth chunk is queued, and stands.
        taken += [next(stream) for _ in range(5)]
        before = reranker.stats()
        stream.close()  # type: ignore[attr-defined]
        assert reranker.stats().calls_cancelled == before.calls_cancelled + 1
    assert len(taken) == 11
    assert settled(reranker.stats).waiting_tokens == 0
