from __future__ import annotations

import math

import pytest

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation import evaluate
from rerank_plugins.evaluation.measures import parse_measures

QRELS = {"q1": {"a": 3, "b": 0, "c": 1}, "q2": {"d": 1}, "q3": {"e": 1}}


def test_hand_computed_case() -> None:
    # q1: b (0), a (3), c (1); q2: its relevant document is sixth; q3 is not in the run.
    run = {
        "q1": {"b": 3.0, "a": 2.0, "c": 1.0},
        "q2": {"x1": 9, "x2": 8, "x3": 7, "x4": 6, "x5": 5, "d": 4},
    }
    scores = evaluate(run, QRELS)
    dcg = 3 / math.log2(3) + 1 / math.log2(4)
    ideal = 3 / math.log2(2) + 1 / math.log2(3)
    assert scores.per_query["nDCG@10"] == pytest.approx({"q1": dcg / ideal, "q2": 1 / math.log2(7), "q3": 0.0})
    assert scores.per_query["MRR@10"] == pytest.approx({"q1": 1 / 2, "q2": 1 / 6, "q3": 0.0})
    assert scores.per_query["hit@5"] == {"q1": 1.0, "q2": 0.0, "q3": 0.0}
    assert scores.mean("MRR@10") == pytest.approx((1 / 2 + 1 / 6 + 0) / 3)


def test_rank_eleven_does_not_count_for_mrr_at_10() -> None:
    run = {"q2": {f"x{i:02d}": 20.0 - i for i in range(10)} | {"d": 1.0}}
    assert evaluate(run, QRELS).per_query["MRR@10"]["q2"] == 0.0


@pytest.mark.parametrize("run", [{}, {"q1": {}}, {"unjudged": {"a": 1.0}}])
def test_missing_queries_score_zero(run: dict[str, dict[str, float]]) -> None:
    scores = evaluate(run, QRELS)
    assert set(scores.per_query["nDCG@10"]) == {"q1", "q2", "q3"}
    assert scores.mean("nDCG@10") == 0.0


def test_ties_follow_trec_eval_the_last_id_first() -> None:
    run = {"q2": {"d": 1.0, "z": 1.0, "a": 1.0}}
    assert evaluate(run, QRELS).per_query["MRR@10"]["q2"] == pytest.approx(1 / 2)


@pytest.mark.parametrize(("other", "rank"), [("a", 1), ("z", 2)])
@pytest.mark.parametrize("comes_first", [True, False])
def test_every_measure_breaks_ties_alike(other: str, rank: int, *, comes_first: bool) -> None:
    ids = ["d", other] if comes_first else [other, "d"]
    scores = evaluate({"q2": dict.fromkeys(ids, 1.0)}, QRELS)
    assert scores.per_query["MRR@10"]["q2"] == pytest.approx(1 / rank)
    assert scores.per_query["nDCG@10"]["q2"] == pytest.approx(1 / math.log2(1 + rank))


def test_nan_is_an_error_that_names_the_document() -> None:
    with pytest.raises(InvalidInputError, match=r"'a' for query 'q1' is NaN"):
        evaluate({"q1": {"a": math.nan}}, QRELS)


def test_mean_over_some_queries() -> None:
    scores = evaluate({"q1": {"a": 1.0}}, QRELS)
    assert scores.mean("hit@5", queries=["q1"]) == 1.0
    assert scores.mean("hit@5", queries=["q1", "q2"]) == 0.5


@pytest.mark.parametrize("queries", [[], ["nobody"]])
def test_mean_needs_judged_queries(queries: list[str]) -> None:
    with pytest.raises(InvalidInputError, match="judged queries"):
        evaluate({}, QRELS).mean("hit@5", queries=queries)


def test_mean_of_an_unknown_measure_lists_the_known() -> None:
    with pytest.raises(InvalidInputError, match=r"hit@5, MRR@10, nDCG@10"):
        evaluate({}, QRELS).mean("MAP")


def test_no_judgements_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="no judgement"):
        evaluate({}, {})


def test_two_names_of_one_measure_both_have_its_figures() -> None:
    scores = evaluate({"q1": {"a": 1.0}}, QRELS, measures=parse_measures(["hit@5", "Success@5"]))
    assert scores.per_query["hit@5"] == scores.per_query["Success@5"] == {"q1": 1.0, "q2": 0.0, "q3": 0.0}


# A cutoff of 0 would end the whole process, the last two need a Perl script and a package that is not there.
@pytest.mark.parametrize("name", ["nDCG@0", "hit", "recall@10.5", "ERR@10", "alpha_nDCG@10", "nothing"])
def test_measures_that_cannot_be_computed(name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"there is no measure '{name}'"):
        parse_measures([name])


@pytest.mark.parametrize("grade", [-1, -2, -5])
def test_a_query_of_which_all_judgements_are_negative_scores_zero(grade: int) -> None:
    # pytrec_eval crashed here, beside a query that has a relevant document.
    run = {"q1": {"a": 1.0}, "q2": {"x": 1.0}}
    scores = evaluate(run, {"q1": {"a": 2}, "q2": {"d": grade, "x": grade}})
    assert scores.per_query["nDCG@10"] == {"q1": 1.0, "q2": 0.0}


@pytest.mark.parametrize("grade", [1_000_001, 2**31, -(2**40), 2**62])
def test_a_grade_that_trec_eval_cannot_count_is_an_error(grade: int) -> None:
    with pytest.raises(InvalidInputError, match=r"'d' for query 'q2' is -?\d+, and grades go up to 1,000,000"):
        evaluate({"q2": {"d": 1.0}}, {"q2": {"d": grade}})


@pytest.mark.parametrize("odd", ["a\0b", "\ud800", "é😀", "a b"])
def test_every_id_is_its_own(odd: str) -> None:
    # pytrec_eval took "a\0b" and "a\0c" for one document, and crashed on a surrogate.
    scores = evaluate({odd: {odd: 2.0, "a\0c": 1.0}}, {odd: {"a\0c": 1, odd: 0}})
    assert scores.per_query["nDCG@10"] == {odd: pytest.approx(1 / math.log2(3))}
    assert scores.per_query["MRR@10"] == {odd: 1 / 2}


def test_infinite_scores_are_in_one_order_for_every_measure() -> None:
    run = {"q2": {"x": math.inf, "a": -math.inf, "d": -math.inf, "b": 1e39}}
    scores = evaluate(run, QRELS)
    assert scores.per_query["MRR@10"]["q2"] == pytest.approx(1 / 3)
    assert scores.per_query["nDCG@10"]["q2"] == pytest.approx(1 / math.log2(4))
