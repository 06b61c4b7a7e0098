"""What every reranker must do, whatever its family. Inherit, give a reranker, and the tests are yours.

class TestMyReranker(RerankerConformance):
    @pytest.fixture
    def reranker(self): return Reranker(...)
"""

from __future__ import annotations

import asyncio
import copy
import json
import math
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from rerank_plugins import RankedDocument, Reranker
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import BLANK_DOCUMENT_SCORE

TOLERANCE = 1e-5

QUERY = "What do pandas eat?"
DOCUMENTS = [
    "The giant panda eats bamboo and sleeps most of the day.",
    "Net revenue grew by 12.5 % in 2019.",
    "大熊猫是中国特有的物种，主要以竹子为食。",
    "Paris is the capital of France.\n\n  Berlin   is the capital of Germany.\t👍 é ﬁ",
    "panda " * 900,
    "a",
]


def assert_same_ranking(found: list[RankedDocument], expected: list[RankedDocument]) -> None:
    """Same documents in the same order, scores within the tolerance."""
    assert [one.index for one in found] == [one.index for one in expected]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=TOLERANCE)
    assert [one.window for one in found] == [one.window for one in expected]


class RerankerConformance:
    """Inheritable tests; the subclass gives the fixture ``reranker`` (float32)."""

    @pytest.fixture
    def reranker(self) -> Reranker:
        raise NotImplementedError

    def test_scores_are_finite_python_floats_in_input_order(self, reranker: Reranker) -> None:
        scores = reranker.score([(QUERY, text) for text in DOCUMENTS])
        assert [type(score) for score in scores] == [float] * len(DOCUMENTS)
        assert all(math.isfinite(score) for score in scores)
        reversed_scores = reranker.score([(QUERY, text) for text in reversed(DOCUMENTS)])
        assert reversed_scores[::-1] == pytest.approx(scores, abs=TOLERANCE)

    def test_different_documents_get_different_scores(self, reranker: Reranker) -> None:
        assert len({round(score, 4) for score in reranker.score([(QUERY, text) for text in DOCUMENTS])}) > 1

    def test_one_by_one_equals_batched(self, reranker: Reranker) -> None:
        pairs = [(QUERY, text) for text in DOCUMENTS * 4]
        alone = [reranker.score([pair])[0] for pair in pairs]
        assert reranker.score(pairs) == pytest.approx(alone, abs=TOLERANCE)

    def test_the_same_call_gives_the_same_scores(self, reranker: Reranker) -> None:
        pairs = [(QUERY, text) for text in DOCUMENTS]
        assert reranker.score(pairs) == reranker.score(pairs)

    def test_rank_sorts_the_scores(self, reranker: Reranker) -> None:
        scores = reranker.score([(QUERY, text) for text in DOCUMENTS])
        ranked = reranker.rank(QUERY, DOCUMENTS)
        assert [one.rank for one in ranked] == list(range(1, len(DOCUMENTS) + 1))
        assert sorted(one.index for one in ranked) == list(range(len(DOCUMENTS)))
        assert [one.score for one in ranked] == sorted((one.score for one in ranked), reverse=True)
        for one in ranked:
            assert one.document == DOCUMENTS[one.index]
            assert one.score == pytest.approx(scores[one.index], abs=TOLERANCE)
            assert 0.0 <= one.probability <= 1.0
        json.dumps([(one.score, one.probability) for one in ranked], allow_nan=False)

    def test_equal_documents_keep_input_order(self, reranker: Reranker) -> None:
        ranked = reranker.rank(QUERY, ["same text"] * 5)
        assert [one.index for one in ranked] == [0, 1, 2, 3, 4]

    def test_blank_documents_keep_their_index_and_rank_last(self, reranker: Reranker) -> None:
        documents = [None, DOCUMENTS[0], "", DOCUMENTS[1], " \n\t"]
        ranked = reranker.rank(QUERY, documents)
        assert {one.index for one in ranked[:2]} == {1, 3}
        assert [one.index for one in ranked[2:]] == [0, 2, 4]
        assert [one.document for one in ranked[2:]] == [None, "", " \n\t"]
        assert {(one.score, one.probability) for one in ranked[2:]} == {(BLANK_DOCUMENT_SCORE, 0.0)}
        assert len(reranker.score([(QUERY, document) for document in documents])) == len(documents)

    def test_nothing_in_nothing_out(self, reranker: Reranker) -> None:
        assert reranker.score([]) == []
        assert reranker.rank(QUERY, []) == []
        assert asyncio.run(reranker.ascore([])) == []
        assert [one.index for one in reranker.rank(QUERY, ["", None])] == [0, 1]

    def test_top_n_and_threshold(self, reranker: Reranker) -> None:
        ranked = reranker.rank(QUERY, DOCUMENTS)
        assert_same_ranking(reranker.rank(QUERY, DOCUMENTS, top_n=2), ranked[:2])
        assert len(reranker.rank(QUERY, DOCUMENTS, top_n=99)) == len(DOCUMENTS)
        middle = (ranked[2].score + ranked[3].score) / 2
        kept = reranker.rank(QUERY, DOCUMENTS, threshold=middle, threshold_unit="raw")
        assert [one.index for one in kept] == [one.index for one in ranked[:3]]
        assert reranker.rank(QUERY, DOCUMENTS, threshold=1.0) == []

    def test_inputs_are_not_changed(self, reranker: Reranker) -> None:
        documents = [*DOCUMENTS, None]
        before = copy.deepcopy(documents)
        reranker.rank(QUERY, documents, top_n=1)
        assert documents == before

    def test_async_equals_sync_on_any_event_loop(self, reranker: Reranker) -> None:
        expected = reranker.rank(QUERY, DOCUMENTS)

        async def call() -> list[RankedDocument]:
            several = await asyncio.gather(*(reranker.arank(QUERY, DOCUMENTS) for _ in range(5)))
            return several[-1]

        for _ in range(2):
            assert_same_ranking(asyncio.run(call()), expected)

    def test_16_threads_equal_the_serial_run(self, reranker: Reranker) -> None:
        chance = random.Random(3)
        requests = [
            (chance.choice(DOCUMENTS)[:60], chance.sample(DOCUMENTS, k=chance.randint(1, 5))) for _ in range(48)
        ]
        # Most pairs come several times: each is scored once, alone.
        pairs = sorted({(query, text) for query, texts in requests for text in texts})
        alone = {pair: reranker.score([pair])[0] for pair in pairs}
        serial = [[alone[query, text] for text in texts] for query, texts in requests]
        with ThreadPoolExecutor(16) as pool:
            futures = [pool.submit(reranker.score, [(q, text) for text in texts]) for q, texts in requests]
            threaded = [future.result(60) for future in futures]
        for one, other in zip(serial, threaded, strict=True):
            assert other == pytest.approx(one, abs=TOLERANCE)

    def test_odd_text_is_scored(self, reranker: Reranker) -> None:
        odd = ["\ud800 lone", "\x00\x01", "🏳️‍🌈" * 50, "x" * 20_000, "‮مرحبا", "ﷺ" * 300]
        scores = reranker.score([(query, text) for text in odd for query in ("", "\ud800", "q " * 2_000)])
        assert all(math.isfinite(score) for score in scores)

    def test_truncation_is_reported(self, reranker: Reranker) -> None:
        (one,) = reranker.rank(QUERY, ["panda " * (reranker.max_length * 3)])
        if one.truncated:
            assert one.window is not None
            assert one.document is not None
            assert 0 <= one.window.start < one.window.end < len(one.document)

    @pytest.mark.parametrize(
        "bad", ["a string", 5, {"q": "d"}, {("q", "d")}, [1], [("q", "d", "x")], [("q", 3)], [(None, "d")], ["qd"]]
    )
    def test_wrong_types_are_refused(self, reranker: Reranker, bad: object) -> None:
        with pytest.raises(InvalidInputError, match="got"):
            reranker.score(bad)  # type: ignore[arg-type]

    def test_wrong_rank_arguments_are_refused(self, reranker: Reranker) -> None:
        with pytest.raises(InvalidInputError, match=r"query must be a string, got None$"):
            reranker.rank(None, ["a"])  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError, match=r"documents\[1\] must be a string, a Document or None, got int"):
            reranker.rank("q", ["a", 1])  # type: ignore[list-item]
        with pytest.raises(InvalidInputError, match="Put a single text into a list"):
            reranker.rank("q", "a")
        with pytest.raises(InvalidInputError, match="top_n"):
            reranker.rank("q", ["a"], top_n=0)
        with pytest.raises(TypeError, match="topn"):
            reranker.rank("q", ["a"], topn=3)  # type: ignore[call-arg]
