"""What the facades tell of the engine: deadlines, limits, caches, copies, timings and counters."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints

from rerank_plugins import Embedder, EngineOptions, Ranking, Reranker, ScoreCache
from rerank_plugins.errors import DeadlineExceededError, EngineClosedError, InvalidInputError, OverloadedError
from rerank_plugins.protocols import Batch

QUERY = "What do pandas eat?"
TEXTS = tiny_checkpoints.SENTENCES
PAIRS = [(QUERY, text) for text in TEXTS]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of the test's own, so that counters start at 0 and a blocked worker blocks nobody else."""
    return tiny_checkpoints.bert_reranker(tmp_path / "own")


@pytest.fixture
def blocked(folder: Path) -> Iterator[Reranker]:
    """A reranker whose model stands still until the test is over."""
    with Reranker(folder, device="cpu") as reranker:
        scorer = reranker._lease.value.batcher._scorers[0]
        gate, forward = threading.Event(), scorer.forward

        def wait(batch: Batch) -> object:
            assert gate.wait(30)
            return forward(batch)

        scorer.forward = wait  # type: ignore[method-assign, assignment]
        yield reranker
        gate.set()


def test_a_deadline_of_the_call(blocked: Reranker) -> None:
    with pytest.raises(DeadlineExceededError, match=r"deadline_s=0\.05"):
        blocked.rank(QUERY, TEXTS, deadline_s=0.05)
    with pytest.raises(DeadlineExceededError):
        asyncio.run(blocked.ascore(PAIRS, deadline_s=0.05))
    stats = blocked.stats()
    # A slow machine may be late before a call is even queued.
    assert stats.calls == stats.calls_cancelled <= 2
    assert stats.waiting_calls == 0


def test_a_deadline_of_the_object(blocked: Reranker) -> None:
    hasty = Reranker(blocked.model, device="cpu", engine=EngineOptions(deadline_s=0.05))
    with pytest.raises(DeadlineExceededError):
        hasty.score(PAIRS)
    assert hasty.engine.deadline_s == 0.05


def test_too_much_work(blocked: Reranker) -> None:
    careful = Reranker(blocked.model, device="cpu", engine=EngineOptions(max_waiting_tokens=10))
    with pytest.raises(DeadlineExceededError):
        blocked.score(PAIRS, deadline_s=0.05)

    def wait() -> None:
        with contextlib.suppress(EngineClosedError):
            blocked.score([(QUERY, "a b c d e f g h i j k")])

    threading.Thread(target=wait, daemon=True).start()
    while not blocked.stats().waiting_tokens:
        pass
    with pytest.raises(OverloadedError):
        careful.score(PAIRS)
    assert careful.stats().calls_refused == 1


def test_usage_of_a_call(folder: Path) -> None:
    reranker = Reranker(folder, device="cpu")
    ranking = reranker.rank(QUERY, [*TEXTS, TEXTS[0], None])
    assert isinstance(ranking, Ranking)
    assert isinstance(ranking, list)
    usage = ranking.usage
    assert usage is not None
    assert usage.inputs == len(TEXTS) + 1
    assert usage.reused_inputs == 1
    assert usage.tokens == sum(len(one) for pair in reranker._backend.encode(PAIRS + PAIRS[:1]) for one in pair.inputs)
    for duration_ms in (usage.tokenize_ms, usage.queue_ms, usage.forward_ms):
        assert 0 <= duration_ms < 60_000
    again = asyncio.run(reranker.arank(QUERY, TEXTS)).usage
    assert again is not None
    assert again.inputs == len(TEXTS)


def test_stats_are_the_models_own(folder: Path) -> None:
    one, two = Reranker(folder, device="cpu"), Reranker(folder, device="cpu", max_length=64)
    one.score(PAIRS)
    two.score(PAIRS)
    stats = one.stats()
    assert stats == two.stats()
    assert (stats.calls, stats.inputs, stats.calls_failed) == (2, 2 * len(PAIRS), 0)
    # The query and each text once, for both objects together.
    assert (stats.token_cache_misses, stats.token_cache_hits) == (1 + len(TEXTS), 1 + len(TEXTS))
    embedder = Embedder(tiny_checkpoints.bert_embedder(folder.parent / "embedder"), device="cpu")
    embedder.embed_documents(TEXTS)
    assert embedder.stats().inputs == len(TEXTS)


def test_ids_are_not_kept_on_request(folder: Path) -> None:
    reranker = Reranker(folder, device="cpu", engine=EngineOptions(token_cache=False))
    assert reranker.score(PAIRS) == reranker.score(PAIRS)
    stats = reranker.stats()
    assert (stats.token_cache_misses, stats.token_cache_hits) == (0, 0)


def test_scores_are_kept_on_request(folder: Path) -> None:
    cache = ScoreCache()
    one, two = Reranker(folder, device="cpu", cache=cache), Reranker(folder, device="cpu", cache=cache)
    plain = Reranker(folder, device="cpu")
    expected = plain.score(PAIRS)
    assert one.score(PAIRS) == pytest.approx(expected, abs=1e-6)
    before = one.stats().batches
    assert two.score(PAIRS[::-1]) == one.score(PAIRS)[::-1]
    assert one.stats().batches == before
    assert cache.info().hits == 2 * len(PAIRS)
    # Other settings give other ids or other weights, and so other entries.
    short = Reranker(folder, device="cpu", max_length=12, cache=cache)
    assert short.score(PAIRS) == pytest.approx(Reranker(folder, device="cpu", max_length=12).score(PAIRS), abs=1e-6)


def test_other_weights_never_share_scores(folder: Path) -> None:
    cache = ScoreCache()
    other = tiny_checkpoints.xlmr_reranker(folder.parent / "other")
    for path in (folder, other, folder):
        scores = Reranker(path, device="cpu", cache=cache).score(PAIRS)
        assert scores == pytest.approx(Reranker(path, device="cpu").score(PAIRS), abs=1e-6)


def test_two_copies_give_the_scores_of_one(folder: Path) -> None:
    expected = Reranker(folder, device="cpu").score(PAIRS * 30)
    with Reranker(folder, device="cpu,cpu", engine=EngineOptions(max_batch_tokens=64)) as reranker:
        assert reranker.device == "cpu,cpu"
        assert reranker.score(PAIRS * 30) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(InvalidInputError, match="one kind"):
        Reranker(folder, device="cpu,meta")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_batch_tokens": 0}, "max_batch_tokens must be a positive integer"),
        ({"max_waiting_tokens": -1}, "max_waiting_tokens must be a positive integer"),
        ({"max_wait_ms": -1.0}, "max_wait_ms must be 0 or more"),
        ({"max_wait_ms": math.nan}, "max_wait_ms must be 0 or more"),
        ({"deadline_s": 0.0}, "deadline_s must be a positive number"),
        ({"token_cache": "False"}, "token_cache must be True or False, got 'False'"),
        ({"share_prefix": 1}, "share_prefix must be True or False, got 1"),
    ],
)
def test_options_that_cannot_work(folder: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        Reranker(folder, device="cpu", engine=EngineOptions(**options))
    with pytest.raises(InvalidInputError, match=words):
        Embedder(folder, device="cpu", engine=EngineOptions(**options))


def test_options_are_no_dict(folder: Path) -> None:
    options: Any = {"deadline_s": 3}
    with pytest.raises(InvalidInputError, match="engine must be an EngineOptions or None, got dict"):
        Reranker(folder, device="cpu", engine=options)
    embedder = tiny_checkpoints.bert_embedder(folder.parent / "embedder")
    with pytest.raises(InvalidInputError, match="engine must be an EngineOptions or None, got dict"):
        Embedder(embedder, device="cpu", engine=options)


@pytest.mark.parametrize("deadline_s", [0, -1.0, math.inf, math.nan, True, "3"])
def test_a_deadline_that_is_none(folder: Path, deadline_s: float) -> None:
    with pytest.raises(InvalidInputError, match="deadline_s must be a positive number"):
        Reranker(folder, device="cpu").score(PAIRS, deadline_s=deadline_s)


@pytest.mark.parametrize("cache", [True, 1000, {}])
def test_a_score_cache_that_is_none(folder: Path, cache: ScoreCache) -> None:
    with pytest.raises(InvalidInputError, match=r"cache must be a ScoreCache or a TokenVectorStore or None"):
        Reranker(folder, device="cpu", cache=cache)
