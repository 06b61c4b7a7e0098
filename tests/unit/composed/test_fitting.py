"""Weights of an ensemble from labelled pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lengths import Numbers

from rerank_plugins import Ensemble, InvalidInputError
from rerank_plugins.composed import fit_ensemble

RANDOM = np.random.default_rng(3)
ROWS = RANDOM.standard_normal((2, 4_000))
# Of the first member's log-odds 1.5 count, of the second's 0.5; the third says nothing.
LABELS = (RANDOM.random(4_000) < 1 / (1 + np.exp(-(1.5 * ROWS[0] + 0.5 * ROWS[1] - 0.7)))).tolist()
PAIRS = [("q", f"{a} {b} {c}") for a, b, c in zip(*ROWS, RANDOM.standard_normal(4_000), strict=True)]


def test_logistic_weights_are_found_again() -> None:
    pytest.importorskip("scipy")
    made = fit_ensemble([Numbers(0), Numbers(1), Numbers(2)], PAIRS, LABELS)
    assert isinstance(made, Ensemble)
    weights = [one.weight for one in made.members]
    assert weights == pytest.approx([1.5, 0.5, 0.0], abs=0.12)
    assert made.score(PAIRS[:1])[0] == pytest.approx(
        sum(w * float(x) for w, x in zip(weights, PAIRS[0][1].split(), strict=True)) + made.bias
    )
    assert made.bias == pytest.approx(-0.7, abs=0.12)


def test_shares_of_probabilities_sum_to_one_and_lessen_the_error() -> None:
    pytest.importorskip("scipy")
    made = fit_ensemble([Numbers(0), Numbers(2)], PAIRS, LABELS, fusion="probability")
    weights = [one.weight for one in made.members]
    assert sum(weights) == pytest.approx(1.0)
    assert weights[0] > 2 * weights[1]


def test_no_other_shares_have_a_smaller_error() -> None:
    pytest.importorskip("scipy")
    # Members that are far too sure of themselves: plain least squares gives weights of another direction.
    pairs = [("q", f"{a - 3} {b + 1} {0.2 * a}") for a, b in ROWS.T[:500]]
    labels = np.array(LABELS[:500], dtype=float)
    rows = 1 / (1 + np.exp(-np.array([[float(x) for x in one.split()] for _, one in pairs]).T))
    made = fit_ensemble([Numbers(0), Numbers(1), Numbers(2)], pairs, LABELS[:500], fusion="probability")
    weights = np.array([one.weight for one in made.members])
    assert weights.sum() == pytest.approx(1.0)
    assert (weights >= 0.0).all()
    others = np.random.default_rng(0).dirichlet([0.7] * 3, size=3_000)
    others = np.vstack([others, np.abs(weights + others / 100)])
    errors = [((one / one.sum() @ rows - labels) ** 2).sum() for one in others]
    assert ((weights @ rows - labels) ** 2).sum() <= min(errors)


def test_a_member_whose_scores_differ_by_rounding_only_does_not_count() -> None:
    pytest.importorskip("scipy")
    # The second number is a third, or the next one above it where the label is true.
    pairs = [("q", f"{a} {1 / 3 + label * 6e-17!r}") for (a, _), label in zip(ROWS.T[:200], LABELS[:200], strict=True)]
    assert len({one.split()[1] for _, one in pairs}) == 2
    made = fit_ensemble([Numbers(0), Numbers(1)], pairs, LABELS[:200])
    assert made.members[0].weight > 0.5
    assert made.members[1].weight < 1e-6


@pytest.mark.parametrize("fusion", ["logit", "probability"])
def test_blank_documents_do_not_count(fusion: Any) -> None:
    pytest.importorskip("scipy")
    pairs, labels = PAIRS[:200], LABELS[:200]
    plain = fit_ensemble([Numbers(0), Numbers(1)], pairs, labels, fusion=fusion)
    blank = fit_ensemble(
        [Numbers(0), Numbers(1)], [("q", " "), *pairs, ("q", "")], [True, *labels, False], fusion=fusion
    )
    assert [one.weight for one in blank.members] == [one.weight for one in plain.members]


@pytest.mark.parametrize(
    ("members", "labels", "how", "said"),
    [
        ([Numbers(0), Numbers(1)], LABELS[:50], {"fusion": "rrf"}, "rrf"),
        ([Numbers(0, score_scope="call"), Numbers(1)], LABELS[:50], {}, "listwise"),
        ([Numbers(0), Numbers(1)], [True] * 50, {}, "both classes are needed"),
    ],
)
def test_what_cannot_be_fitted_is_told(members: Any, labels: Any, how: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        fit_ensemble(members, PAIRS[:50], labels, **how)


def test_scores_against_relevance_are_told() -> None:
    pytest.importorskip("scipy")
    against = [("q", f"{-a} {-b}") for a, b in ROWS.T]
    with pytest.raises(InvalidInputError, match="every weight is 0"):
        fit_ensemble([Numbers(0), Numbers(1)], against, LABELS)
