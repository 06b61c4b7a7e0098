"""Thresholds: hand-computed cases, what they promise on any pairs, and what is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.calibration import fit_threshold, labelled_scores, logits, measure_threshold
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.ranking.order import to_probability
from rerank_plugins.types import BLANK_DOCUMENT_SCORE

SCORES = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0]
LABELS = [1, 1, 0, 1, 0, 0, 1]
# Precision of the first n: 1, 1, 2/3, 3/4, 3/5, 3/6, 4/7. Recall: 1/4, 2/4, 2/4, 3/4, 3/4, 3/4, 1.


@pytest.mark.parametrize(
    ("precision", "value", "n_kept"), [(1.0, 7.5, 2), (0.75, 5.5, 4), (0.7, 5.5, 4), (0.6, 4.5, 5), (0.1, 3.0, 7)]
)
def test_precision_is_reached_with_the_most_recall(precision: float, value: float, n_kept: int) -> None:
    fitted = fit_threshold(SCORES, LABELS, precision=precision)
    assert (fitted.value, fitted.n_kept, fitted.goal, fitted.target) == (value, n_kept, "precision", precision)


@pytest.mark.parametrize(("recall", "value", "precision"), [(0.25, 8.5, 1.0), (0.5, 7.5, 1.0), (0.75, 5.5, 0.75)])
def test_recall_is_reached_with_the_highest_threshold(recall: float, value: float, precision: float) -> None:
    fitted = fit_threshold(SCORES, LABELS, recall=recall)
    assert (fitted.value, fitted.precision) == (value, precision)


def test_ties_are_never_cut() -> None:
    fitted = fit_threshold([2.0, 1.0, 1.0, 1.0, 0.0], [1, 1, 0, 0, 0], precision=0.6)
    assert (fitted.value, fitted.n_kept) == (1.5, 1)


@given(
    pairs=st.lists(st.tuples(st.floats(-50, 50), st.booleans()), min_size=2, max_size=60).filter(
        lambda pairs: len({label for _, label in pairs}) == 2
    ),
    target=st.floats(0.05, 1.0),
)
def test_what_a_threshold_says_is_what_it_does(pairs: list[tuple[float, bool]], target: float) -> None:
    scores, labels = [score for score, _ in pairs], [label for _, label in pairs]
    fitted = fit_threshold(scores, labels, recall=target)
    measured = measure_threshold(scores, labels, threshold=fitted.value)
    assert (measured.precision, measured.recall, measured.n_kept) == (fitted.precision, fitted.recall, fitted.n_kept)
    assert fitted.recall >= target - 1e-9


def test_confidence_asks_for_the_lower_bound() -> None:
    # 19 of 20 relevant: 0.95, and Wilson's one-sided 95 % bound is 0.803 (z = 1.6449).
    scores, labels = [float(i) for i in range(40, 0, -1)], [1] * 19 + [0] * 21
    z = 1.6448536269514722
    bound = (0.95 + z * z / 40 - z * math.sqrt(0.95 * 0.05 / 20 + z * z / 1600)) / (1 + z * z / 20)
    assert fit_threshold(scores, labels, precision=0.95).n_kept == 20
    assert fit_threshold(scores, labels, precision=bound, confidence=0.95).n_kept == 20
    assert fit_threshold(scores, labels, precision=bound + 1e-6, confidence=0.95).n_kept == 19


def test_blank_documents_do_not_count() -> None:
    fitted = fit_threshold([*SCORES, BLANK_DOCUMENT_SCORE], [*LABELS, 0], precision=0.5)
    assert fitted.n_pairs == len(SCORES)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1.0, 2.0], [1, 1], "both classes are needed, got 2 relevant and 0 other"),
        ([1.0, 2.0], [0, 0], "got 0 relevant and 2 other"),
        ([], [], "both classes"),
        ([1.0, float("nan")], [1, 0], r"scores\[1\] is nan"),
        ([1.0, float("inf")], [1, 0], r"scores\[1\] is inf"),
        ([1.0], [1, 0], "1 scores and 2 labels"),
        ([1.0, 2.0], [1, 2], "labels must be true or false"),
        ([1.0, "two"], [1, 0], "scores must be numbers"),
        ([[1.0], [2.0]], [1, 0], "flat list"),
    ],
)
def test_pairs_that_cannot_be_used(scores: list, labels: list, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        fit_threshold(scores, labels, precision=0.5)


def test_unreachable_targets_say_what_is_reachable() -> None:
    with pytest.raises(InvalidInputError, match=r"precision 0\.9; the best has 0\.500"):
        fit_threshold([4.0, 3.0, 2.0, 1.0], [0, 1, 0, 1], precision=0.9)
    with pytest.raises(InvalidInputError, match="min_kept=20 is more than the 7"):
        fit_threshold(SCORES, LABELS, precision=0.9, min_kept=20)


@pytest.mark.parametrize(
    "options",
    [{}, {"precision": 0.5, "recall": 0.5}, {"precision": 0.0}, {"recall": 1.5}, {"precision": True},
     {"precision": 0.5, "confidence": 0.2}, {"precision": 0.5, "min_kept": 0}],
)  # fmt: skip
def test_options_that_cannot_work(options: dict) -> None:
    with pytest.raises(InvalidInputError):
        fit_threshold(SCORES, LABELS, **options)


def test_a_run_with_judgements_gives_pairs() -> None:
    run = {"q1": {"a": 3.0, "b": 1.0}, "q2": {"a": 2.0}, "unjudged": {"a": 9.0}}
    scores, labels = labelled_scores(run, {"q1": {"a": 1, "c": 1}, "q2": {"a": 0}})
    assert sorted(zip(scores, labels, strict=True)) == [(1.0, False), (2.0, False), (3.0, True)]
    assert labelled_scores(run, {"q1": {"a": 1}}, min_grade=2)[1] == [False, False]
    with pytest.raises(InvalidInputError, match="none of the run's 3 queries"):
        labelled_scores(run, {"other": {"a": 1}})


def test_logits_undo_the_sigmoid() -> None:
    scores = [-9.5, -1.0, 0.0, 2.5]
    assert logits([to_probability(s, scale="logit") for s in scores]) == pytest.approx(scores)
    assert all(math.isfinite(score) for score in logits([0.0, 1.0]))
    with pytest.raises(InvalidInputError, match="another scale"):
        logits([0.5, 1.2])


def test_a_threshold_that_is_no_number() -> None:
    with pytest.raises(InvalidInputError, match="threshold is NaN"):
        measure_threshold(SCORES, LABELS, threshold=math.nan)
    with pytest.raises(InvalidInputError, match="confidence must be"):
        fit_threshold(SCORES, LABELS, precision=0.5, confidence="high")
