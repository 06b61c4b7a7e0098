"""Streams: the scores of one call, read only a little ahead, and nothing left running."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import tiny_checkpoints

from rerank_plugins import Reranker
from rerank_plugins.backends.protocol import BackendScores, Pairs, ScoreOptions, SimplePairScorer, reranker_spec
from rerank_plugins.calls.observing import CallRecord, add_observer
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import BLANK_DOCUMENT_SCORE, CallUsage, StageUsage

QUERY = "What do pandas eat?"
PAIRS: list[tuple[str, str | None]] = [(QUERY, text) for text in tiny_checkpoints.SENTENCES]


@pytest.fixture
def reranker(bert_reranker_folder: Path) -> Reranker:
    return Reranker(bert_reranker_folder, device="cpu")


@pytest.mark.parametrize("chunk_pairs", [1, 3, 1024])
def test_a_stream_gives_the_scores_of_a_call(reranker: Reranker, chunk_pairs: int) -> None:
    pairs = [*PAIRS * 3, (QUERY, None), (QUERY, " ")]
    streamed = list(reranker.score_stream(iter(pairs), chunk_pairs=chunk_pairs))
    assert streamed == pytest.approx(reranker.score(pairs), abs=1e-5)
    assert streamed[-2:] == [BLANK_DOCUMENT_SCORE] * 2
    assert list(reranker.score_stream([])) == []


def test_pairs_are_read_only_a_little_ahead(reranker: Reranker) -> None:
    read = 0

    def endless() -> Iterator[tuple[str, str | None]]:
        nonlocal read
        while True:
            read += 1
            yield PAIRS[read % len(PAIRS)]

    stream = reranker.score_stream(endless(), chunk_pairs=4)
    assert read == 0
    for taken in range(1, 41):
        next(stream)
        assert read <= taken + 3 * 4
    stream.close()  # type: ignore[attr-defined]
    assert len(reranker.score(PAIRS)) == len(PAIRS)
    assert reranker.stats().waiting_calls == 0


def test_a_wrong_pair_is_told_by_its_number(reranker: Reranker) -> None:
    stream = reranker.score_stream([*PAIRS, "oops"], chunk_pairs=2)  # type: ignore[list-item]
    with pytest.raises(InvalidInputError, match=rf"pairs\[{len(PAIRS)}\] must be"):
        list(stream)
    assert reranker.stats().waiting_calls == 0
    with pytest.raises(InvalidInputError, match="chunk_pairs"):
        reranker.score_stream(PAIRS, chunk_pairs=0)


@pytest.mark.parametrize("chunk_pairs", [1, 2, 1024])
@pytest.mark.parametrize("is_local", [True, False], ids=["local", "backend"])
def test_an_error_of_the_pairs_comes_behind_the_scores_before_it(
    reranker: Reranker, chunk_pairs: int, is_local: bool
) -> None:
    def broken() -> Iterator[tuple[str, str | None]]:
        yield from PAIRS
        msg = "the file ends here"
        raise OSError(msg)

    used = reranker if is_local else Reranker(backend=Metered())
    expected = used.score(PAIRS)
    for pairs, error in ((broken(), OSError), ([*PAIRS, "oops", PAIRS[0]], InvalidInputError)):
        taken: list[float] = []
        with pytest.raises(error):
            take(used.score_stream(pairs, chunk_pairs=chunk_pairs), taken)  # type: ignore[arg-type]
        assert taken == pytest.approx(expected, abs=1e-5)
    assert used.score(PAIRS) == pytest.approx(expected, abs=1e-5)


def take(scores: Iterator[float], taken: list[float]) -> None:
    for one in scores:
        taken.append(one)


class Metered(SimplePairScorer):
    """Tells what each call took: numbers that are known."""

    spec = reranker_spec("acme/metered")

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [1.0] * len(pairs)

    def score(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        n = len(pairs)
        usage = CallUsage(
            tokenize_ms=1.0,
            queue_ms=5.0,
            forward_ms=10.0,
            inputs=n,
            tokens=7 * n,
            reused_inputs=1,
            stages=tuple(StageUsage(name=name, documents=n, ms=2.0) for name in ("first", "second")),
        )
        return BackendScores.of([1.0] * n, usage=usage)


def test_a_stream_takes_what_its_chunks_take_and_queues_once() -> None:
    records: list[CallRecord] = []
    remove = add_observer(records.append)
    pairs = [(QUERY, f"text {number}") for number in range(7)]
    assert list(Reranker(backend=Metered()).score_stream(pairs, chunk_pairs=3)) == [1.0] * 7
    remove()
    # Chunks of 3, 3 and 1. Those behind the first queue behind work of their own stream.
    expected = CallUsage(
        tokenize_ms=3.0,
        queue_ms=5.0,
        forward_ms=30.0,
        inputs=7,
        tokens=49,
        reused_inputs=3,
        stages=tuple(StageUsage(name=name, documents=7, ms=6.0) for name in ("first", "second")),
    )
    assert [record.usage for record in records] == [expected]


class Staged(Metered):
    """Lists other stages in each chunk: the second of one model in the odd ones only."""

    def __init__(self) -> None:
        self.calls = 0

    def score(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        self.calls += 1
        names = ("mini", "chat", "mini") if self.calls % 2 else ("mini", "chat")
        stages = tuple(StageUsage(name=name, documents=len(pairs), ms=1.0) for name in names)
        usage = CallUsage(
            tokenize_ms=0.0, queue_ms=0.0, forward_ms=1.0, inputs=1, tokens=1, reused_inputs=0, stages=stages
        )
        return BackendScores.of([1.0] * len(pairs), usage=usage)


def test_stages_of_a_long_stream_are_told_once_whatever_its_chunks_list() -> None:
    records: list[CallRecord] = []
    remove = add_observer(records.append)
    list(Reranker(backend=Staged()).score_stream(((QUERY, f"x {n}") for n in range(50)), chunk_pairs=5))
    remove()
    (usage,) = [record.usage for record in records]
    assert usage is not None
    assert [(one.name, one.documents) for one in usage.stages] == [("mini", 50), ("chat", 50), ("mini", 25)]
