"""Order, probabilities and thresholds."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.ranking.order import check_threshold, check_top_n, passes, sorted_indices, to_probability
from rerank_plugins.types import BLANK_DOCUMENT_SCORE

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def test_ties_keep_input_order_and_blanks_come_last() -> None:
    scores = [2.0, 3.0, 2.0, BLANK_DOCUMENT_SCORE, -20_000.0]
    assert sorted_indices(scores, blank=[False, False, False, True, False]) == [1, 0, 2, 4, 3]


def test_sigmoid_by_hand() -> None:
    # Published with bge-reranker-v2-m3: sigmoid(-5.65234375) = 0.003497...
    assert to_probability(-5.65234375, scale="logit") == pytest.approx(0.0034972, abs=1e-6)
    assert to_probability(0.0, scale="logit") == 0.5
    assert to_probability(0.3, scale="probability") == 0.3
    assert to_probability(1.0000001, scale="probability") == 1.0


@given(st.floats(-300.0, 300.0))
def test_a_score_below_a_tanh(score: float) -> None:
    assert to_probability(score, scale="tanh") == pytest.approx((1.0 + math.tanh(score)) / 2.0, abs=1e-12)


@given(FINITE)
def test_a_probability_is_one_and_valid_json(score: float) -> None:
    probability = to_probability(score, scale="logit")
    assert 0.0 <= probability <= 1.0
    assert json.loads(json.dumps(probability, allow_nan=False)) == probability


@given(FINITE, FINITE)
def test_probability_keeps_the_order(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert to_probability(low, scale="logit") <= to_probability(high, scale="logit")


def test_a_blank_document_has_probability_zero_and_is_json() -> None:
    assert to_probability(BLANK_DOCUMENT_SCORE, scale="logit") == 0.0
    assert json.dumps(BLANK_DOCUMENT_SCORE, allow_nan=False)


def test_threshold_units() -> None:
    assert passes(score=-1.0, probability=0.27, threshold=0.27, unit="probability")
    assert not passes(score=-1.0, probability=0.27, threshold=0.28, unit="probability")
    assert passes(score=-1.0, probability=0.27, threshold=-1.0, unit="raw")
    assert passes(score=-9.0, probability=0.0, threshold=None, unit="raw")


@pytest.mark.parametrize("top_n", [0, -1, 2.0, True, "5"])
def test_top_n_must_be_positive(top_n: object) -> None:
    with pytest.raises(InvalidInputError, match=r"top_n must be a positive integer.*got"):
        check_top_n(top_n)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("threshold", "unit", "words"),
    [
        (1.5, "probability", "threshold_unit='raw'"),
        (-0.1, "probability", "not a probability"),
        (math.nan, "raw", "must be a number"),
        ("0.5", "raw", "must be a number"),
        (0.5, "logit", "threshold_unit must be"),
    ],
)
def test_impossible_thresholds_are_refused(threshold: object, unit: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        check_threshold(threshold, unit=unit)  # type: ignore[arg-type]
