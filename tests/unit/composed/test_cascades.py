"""Cascades: what each stage reads, what a score means, and what happens when time is short or a stage fails."""

from __future__ import annotations

import asyncio
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints
from chat_models import OracleChat
from hypothesis import given, settings
from hypothesis import strategies as st
from lengths import Numbers

from rerank_plugins import (
    Cascade,
    ChatScorer,
    DeadlineExceededError,
    InvalidInputError,
    Reranker,
    ScoreCache,
    ScoringError,
)
from rerank_plugins.backends.protocol import ScoreOptions
from rerank_plugins.calibration import fit_calibration
from rerank_plugins.chat import Listwise
from rerank_plugins.composed.cascade import CascadeScorer
from rerank_plugins.composed.members import Stage
from rerank_plugins.composed.pace import Pace
from rerank_plugins.composed.scale import UNREAD_SCORE, descending, log_odds

DOCUMENTS = ["1 5", "2 9", "3 1", "4 2", "0 9"]


def order(reranker: Reranker, documents: list[str] = DOCUMENTS, **how: Any) -> list[int]:
    return [one.index for one in reranker.rank("q", documents, **how)]


def test_each_stage_orders_the_best_of_the_one_before() -> None:
    first, second = Numbers(0), Numbers(1)
    cascade = Cascade([(first, 4), (second, 2)])
    ranking = cascade.rank("q", DOCUMENTS)
    # The first reads the first four as they came, the second the best two of these; the fifth is never read.
    assert first.asked == [DOCUMENTS[:4]]
    assert second.asked == [["4 2", "3 1"]]
    assert [one.index for one in ranking] == [3, 2, 1, 0, 4]
    assert [one.score for one in ranking] == pytest.approx([2.0, 1.0, 1.0, 1.0, UNREAD_SCORE])
    assert [[stage.name for stage in one.stages] for one in ranking] == [
        ["tests/place-0", "tests/place-1"],
        ["tests/place-0", "tests/place-1"],
        ["tests/place-0"],
        ["tests/place-0"],
        [],
    ]
    assert [(one.score, one.probability) for one in ranking[2].stages] == [(2.0, pytest.approx(1 / (1 + math.exp(-2))))]
    assert ranking.usage is not None
    assert [(one.name, one.documents, one.skipped) for one in ranking.usage.stages] == [
        ("tests/place-0", 4, ""),
        ("tests/place-1", 2, ""),
    ]
    assert asyncio.run(cascade.arank("q", DOCUMENTS)) == ranking


def test_scores_of_the_last_stage_are_its_own_and_ties_keep_the_order_before_it() -> None:
    documents = ["1 7", "2 7", "3 9"]
    ranking = Cascade([Numbers(0), Numbers(1)]).rank("q", documents)
    # The first stage leaves 2, 1, 0; the second gives 1 and 0 the same, which must not turn them round.
    assert [one.index for one in ranking] == [2, 1, 0]
    assert ranking[0].score == 9.0
    assert ranking[1].score == 7.0
    assert ranking[2].score == math.nextafter(7.0, -math.inf)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=1, max_size=12),
    depths=st.lists(st.integers(1, 12), min_size=3, max_size=3),
)
def test_a_document_kept_for_a_deeper_stage_never_falls_below_one_that_was_not(
    rows: list[tuple[int, int, int]], depths: list[int]
) -> None:
    documents = [f"{a} {b} {c} {number}" for number, (a, b, c) in enumerate(rows)]
    cascade = Cascade([(Numbers(place), depth) for place, depth in enumerate(sorted(depths, reverse=True))])
    ranking = cascade.rank("q", documents)
    assert sorted(one.index for one in ranking) == list(range(len(documents)))
    read = [len(one.stages) for one in ranking]
    assert read == sorted(read, reverse=True)
    # What the backend of one call says is what the facade makes of it: no second sorting changes the order.
    scores = cascade.score([("q", document) for document in documents])
    assert sorted(range(len(scores)), key=lambda place: -scores[place]) == [one.index for one in ranking]


@settings(derandomize=True, deadline=None)
@given(st.permutations(range(6)), st.lists(st.sampled_from([0.0, 1.0, -1.0, 2.5]), min_size=6, max_size=6))
def test_descending_values_sort_into_the_order_they_are_given_in(places: list[int], values: list[float]) -> None:
    result = descending(values, places)
    assert [place for _, place in sorted(zip(result, places, strict=True), key=lambda one: (-one[0], one[1]))] == places
    assert all(after <= before for after, before in zip(result, values, strict=True))
    assert result[0] == values[0]


def test_queries_of_one_call_do_not_mix() -> None:
    cascade = Cascade([(Numbers(0), 2), (Numbers(1), 1)])
    pairs = [("a", "1 5"), ("b", "3 1"), ("a", "2 9"), ("b", "4 2")]
    assert cascade.score(pairs) == pytest.approx([1.0, 2.0, 9.0, 2.0])
    assert cascade.rank("q", DOCUMENTS).usage.stages[0].documents == 2  # type: ignore[union-attr]


def test_blank_documents_are_last_and_none_is_a_result() -> None:
    assert order(Cascade([Numbers(0)]), ["", "1 1", "2 1"]) == [2, 1, 0]
    assert Cascade([Numbers(0)]).rank("q", []) == []


def test_scales_are_one_scale() -> None:
    calibration = fit_calibration([-1.0, 0.0, 1.0, 2.0] * 9, [0, 0, 1, 1] * 9)
    logit, tanh = Reranker(backend=Numbers(0)), Reranker(backend=Numbers(0, score_scale="tanh"))
    calibrated = Reranker(backend=Numbers(0), calibration=calibration)
    share = Reranker(backend=Numbers(0, score_scale="probability"))
    cosine = Reranker(backend=Numbers(0, score_scale="cosine"))
    assert log_odds(logit, 3.5) == 3.5
    assert log_odds(tanh, 3.5) == 7.0
    for one, score in [(calibrated, 1.5), (share, 0.75), (tanh, 0.3), (cosine, -0.4)]:
        assert 1 / (1 + math.exp(-log_odds(one, score))) == pytest.approx(one.probability(score))
    assert math.isfinite(log_odds(share, 0.0))
    ranked = Cascade([calibrated]).rank("q", ["1.5 1"])[0]
    assert ranked.probability == pytest.approx(calibration.probability(1.5))
    # A cosine is no logit: sigmoid(0.9) would be 0.71.
    assert Cascade([cosine]).rank("q", ["0.9 1"])[0].probability == pytest.approx(0.95)


def test_documents_below_a_probability_are_not_handed_on() -> None:
    second = Numbers(1)
    cascade = Cascade([Numbers(0, score_scale="probability"), Stage(second, 4, min_probability=0.5)])
    assert order(cascade, ["0.9 1", "0.6 5", "0.5 3", "0.4 9"]) == [1, 2, 0, 3]
    assert second.asked == [["0.9 1", "0.6 5", "0.5 3"]]
    ranking = cascade.rank("q", ["0.1 1", "0.2 5"])
    assert [one.skipped for one in ranking.usage.stages] == ["", "nothing to read"]  # type: ignore[union-attr]


@pytest.mark.parametrize("last", [Stage(Numbers(2), 4), Stage(Numbers(2), 4, min_probability=0.3)], ids=["all", "0.3"])
def test_what_a_stage_did_not_read_no_later_one_reads(last: Stage) -> None:
    third = last.model
    assert isinstance(third, Numbers)
    third.asked.clear()
    second = Stage(Numbers(1, score_scale="probability"), 4, min_probability=0.5)
    cascade = Cascade([Numbers(0, score_scale="probability"), second, last])
    # The third document, which the second stage did not read, would be the best of the third.
    assert order(cascade, ["0.9 0.4 1", "0.6 0.8 2", "0.4 0.9 9"]) == [1, 0, 2]
    assert third.asked == [["0.6 0.8 2", "0.9 0.4 1"]]
    third.asked.clear()
    ranking = cascade.rank("q", ["0.1 0.1 5", "0.2 0.2 9"])
    assert [one.skipped for one in ranking.usage.stages] == ["", "nothing to read", "nothing to read"]  # type: ignore[union-attr]
    assert not third.asked


def test_a_stage_that_is_late_is_given_up_and_not_started_the_next_time() -> None:
    slow, last = Numbers(1, seconds=1.5), Numbers(0, name="tests/last")
    cascade = Cascade([(Numbers(0), 4), (slow, 3), (last, 2)], budget_ms=750)

    async def twice() -> list[Any]:
        return [await cascade.arank("q", DOCUMENTS), await cascade.arank("q", DOCUMENTS)]

    first, second = asyncio.run(twice())
    assert [one.index for one in first] == [one.index for one in second] == [3, 2, 1, 0, 4]
    assert [len(one.stages) for one in first] == [1, 1, 1, 1, 0]
    assert [one.skipped for one in first.usage.stages] == ["", "late", "stopped"]
    assert [one.skipped for one in second.usage.stages] == ["", "no time", "stopped"]
    assert len(slow.asked) == 1
    assert last.asked == []


def test_a_first_stage_that_is_late_leaves_the_order_of_the_call() -> None:
    cascade = Cascade([Numbers(0, seconds=0.2), Numbers(1)], budget_ms=50)
    ranking = asyncio.run(cascade.arank("q", DOCUMENTS))
    assert [one.index for one in ranking] == [0, 1, 2, 3, 4]
    assert {one.score for one in ranking} == {UNREAD_SCORE}
    assert {one.stages for one in ranking} == {()}


@pytest.mark.parametrize("budget_ms", [5e-324, 1e-9])
def test_a_budget_that_is_over_before_the_first_stage_leaves_the_order(budget_ms: float) -> None:
    ranking = Cascade([Numbers(0), Numbers(1)], budget_ms=budget_ms).rank("q", DOCUMENTS)
    assert [one.index for one in ranking] == list(range(len(DOCUMENTS)))
    assert [one.skipped for one in ranking.usage.stages] == ["no time", "stopped"]  # type: ignore[union-attr]


def test_a_deadline_of_the_call_is_an_error_as_everywhere() -> None:
    cascade = Cascade([Numbers(0), Numbers(1, seconds=0.3)])
    with pytest.raises(DeadlineExceededError):
        asyncio.run(cascade.arank("q", DOCUMENTS, deadline_s=0.1))


def test_a_stage_that_fails_keeps_the_order_before_it_and_a_first_one_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cascade = Cascade([Numbers(0), Numbers(1, error=ValueError("secret text"))])
    ranking = cascade.rank("q", DOCUMENTS)
    assert [one.index for one in ranking] == [3, 2, 1, 0, 4]
    assert [one.skipped for one in ranking.usage.stages] == ["", "failed: ScoringError"]  # type: ignore[union-attr]
    assert "stage 2 failed with ScoringError" in caplog.text
    assert "secret" not in caplog.text
    with pytest.raises(ScoringError, match="secret"):
        Cascade([Numbers(0, error=ValueError("secret text")), Numbers(1)]).rank("q", DOCUMENTS)


def test_a_pace_is_learned_forgotten_and_tried_again() -> None:
    pace = Pace()
    assert pace.estimate_s(100) is None
    pace.note(100, 2.0)
    assert pace.estimate_s(50) == 1.0
    for _ in range(40):
        pace.note(100, 1.0)
    assert pace.estimate_s(100) == pytest.approx(1.0, abs=1e-3)
    pace.note_skipped()
    assert pace.estimate_s(100) == pytest.approx(0.9, abs=1e-3)
    given_up = Pace()
    given_up.note_given_up(100, 1.0)
    assert given_up.estimate_s(100) == 2.0


@pytest.mark.parametrize(
    ("stages", "how", "said"),
    [
        ([], {}, "stages is empty"),
        ("mini", {}, "stages must be a list"),
        ([3], {}, r"stages\[0\] must be a Stage.*got 3"),
        ([Numbers], {}, r"stages\[0\] must be a Stage"),
        ([("mini", 0)], {}, "depth"),
        ([(Numbers(0), 5), (Numbers(1), 6)], {}, "stage 2 reads 6 documents .* only 5"),
        ([(Numbers(0), 5), Numbers(1)], {}, "stage 2 reads all documents .* only 5"),
        ([Stage(Numbers(0), min_probability=0.1)], {}, "first stage has min_probability=0.1"),
        ([Stage(Numbers(0), options={"device": "cpu"})], {}, "options say how a model is opened"),
        ([Numbers(0)], {"budget_ms": 0}, "budget_ms must be milliseconds above 0"),
        ([Numbers(0)], {"budget_ms": -1.0}, "budget_ms must be milliseconds above 0"),
        ([Numbers(0)], {"budget_ms": math.nan}, "budget_ms must be milliseconds above 0"),
        ([Numbers(0)], {"budget_ms": "10"}, "budget_ms must be milliseconds above 0"),
    ],
)
def test_what_cannot_work_is_told(stages: Any, how: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        Cascade(stages, **how)


def test_it_is_a_reranker_and_refuses_what_listwise_ones_do() -> None:
    backend = CascadeScorer([Numbers(0)])
    assert backend.spec.score_scope == "call"
    assert order(Reranker(backend=backend)) == order(Cascade([Numbers(0)]))
    with pytest.raises(InvalidInputError, match="its score depends"):
        Reranker(backend=backend, cache=ScoreCache())
    assert backend.score([("q", "3 1")], ScoreOptions()).rows.tolist() == [[3.0]]


def test_closing_it_closes_what_it_opened_once_the_last_copy_goes() -> None:
    own, mine = Numbers(0), Reranker(backend=Numbers(1))
    cascade = Cascade([own, mine])
    copied = cascade.__copy__()
    cascade.close()
    assert order(copied) == order(Cascade([Numbers(0), Numbers(1)]))
    inner = copied._lease.value.backend._models[0].reranker
    copied.close()
    assert inner._lease.is_closed
    # Objects stay the caller's.
    assert not own.is_closed
    assert order(mine) == [1, 4, 0, 3, 2]
    with pytest.raises(Exception, match="closed"):
        copied.rank("q", ["1 1"])


@pytest.mark.parametrize("stages", [[("mini", 3)], [Stage("mini", 3, options={"max_length": 64})]])
def test_it_can_be_pickled(stages: Any) -> None:
    with Cascade(stages, budget_ms=10_000) as cascade, pickle.loads(pickle.dumps(cascade)) as again:
        assert type(again) is Cascade
        assert again.stages == cascade.stages
        assert again.budget_ms == 10_000
        assert order(again) == order(cascade)
        assert again.spec == cascade.spec


def test_what_changes_scores_changes_the_revision() -> None:
    revisions = {
        Cascade(stages, budget_ms=budget).spec.revision
        for stages, budget in [
            ([(Numbers(0), 5)], None),
            ([(Numbers(0), 4)], None),
            ([(Numbers(0), 5)], 10.0),
            ([(Numbers(0, name="tests/another"), 5)], None),
            ([Numbers(0), Stage(Numbers(1), 5, min_probability=0.1)], None),
            ([Numbers(0), Stage(Numbers(1), 5, min_probability=0.2)], None),
        ]
    }
    assert len(revisions) == 6


def test_a_chat_model_is_a_last_stage() -> None:
    query, texts = "panda", [f"text {number} {'panda ' * (number % 5)}" for number in range(12)]
    chat = ChatScorer(OracleChat(), method=Listwise())
    with Cascade([("bm25", 12), (chat, 4)]) as cascade:
        ranking = cascade.rank(query, texts)
    assert sorted(one.index for one in ranking) == list(range(12))
    assert [one.stages[-1].name for one in ranking[:4]] == [chat.spec.id] * 4
    assert all(one.stages[-1].name == "bm25" for one in ranking[4:])


def test_what_a_stage_cut_is_told_once_by_that_stage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        Reranker(tiny_checkpoints.bert_reranker(tmp_path / "own"), device="cpu", max_length=16) as short,
        Cascade([(short, 2)]) as cascade,
        caplog.at_level("WARNING", logger="rerank_plugins"),
    ):
        ranking = cascade.rank("panda", ["panda " * 50, "bamboo"])
    assert [one.truncated for one in sorted(ranking, key=lambda one: one.index)] == [True, False]
    told = [one.getMessage() for one in caplog.records if "only partly read" in one.getMessage()]
    assert len(told) == 1
    assert "max_length=16" in told[0]
