"""Fitting: from labelled scores to a calibration.

Platt scaling: Platt 1999, "Probabilistic outputs for support vector machines", with the targets of its
section 2.2, minimised by the Newton method of Lin, Lin & Weng 2007, "A note on Platt's probabilistic outputs"
(their appendix, constants included). Isotonic regression: pool adjacent violators (Ayer et al. 1955; for
probabilities Zadrozny & Elkan 2002), between whose values the result is linear, as in scikit-learn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rerank_plugins.arguments import checked_call
from rerank_plugins.calibration.calibration import Calibration, CalibrationMethod, ScoreSource
from rerank_plugins.calibration.labels import checked_labels
from rerank_plugins.errors import InvalidInputError

__all__ = ["fit_calibration", "fit_isotonic", "fit_platt"]

_Floats = npt.NDArray[np.float64]

# Lin, Lin & Weng 2007, appendix.
_MAX_STEPS, _MIN_STEP, _RIDGE, _TOLERANCE, _DECREASE = 100, 1e-10, 1e-12, 1e-5, 1e-4


@checked_call(own=("scores", "labels"))
def fit_calibration(
    scores: Sequence[float],
    labels: Sequence[bool] | Sequence[int],
    *,
    method: CalibrationMethod = "platt",
    source: ScoreSource | None = None,
) -> Calibration:
    """Return a map from raw scores to probabilities of relevance.

    ``platt`` is a sigmoid with two numbers: smooth, keeps the order, fine from some dozens of pairs. ``isotonic``
    follows the data in steps: better from about a thousand pairs, ties scores that it cannot tell apart.

    The probability holds for pairs like these. If relevant pairs are rarer where it is used, it is too high.

    Args:
        scores: Raw scores, one per pair.
        labels: True (or 1) where the document answers the query.
        method: ``platt`` or ``isotonic``.
        source: What made the scores (``Reranker.score_source``), checked when the calibration is used; None
            accepts every model.

    Raises:
        InvalidInputError: No such method, scores that fall where relevance rises, or scores and labels that
            :func:`~rerank_plugins.calibration.labels.checked_labels` refuses.
    """
    values, relevant = checked_labels(scores, labels)
    if method == "platt":
        knots = fit_platt(values, relevant)
    elif method == "isotonic":
        knots = fit_isotonic(values, relevant)
    else:
        msg = f"method must be 'platt' or 'isotonic', got {method!r}"
        raise InvalidInputError(msg)
    return Calibration(
        method=method,
        parameters=knots,
        n_pairs=len(values),
        n_relevant=int(relevant.sum()),
        source=source or ScoreSource(),
    )


def fit_platt(scores: _Floats, relevant: npt.NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Return ((slope, intercept),) of the sigmoid 1 / (1 + exp(-(slope * score + intercept))).

    Raises:
        InvalidInputError: The slope is not positive: the scores do not rise with relevance.
    """
    # Centred and scaled, so that Newton's matrix is well conditioned on any model's scale.
    center, scale = float(scores.mean()), float(scores.std()) or 1.0
    slope, intercept = _newton((scores - center) / scale, relevant)
    if slope <= 0.0:
        msg = (
            "these scores do not rise with relevance, so no calibration can keep their order; check that label 1 "
            "means relevant and that the scores are of these pairs"
        )
        raise InvalidInputError(msg)
    return ((slope / scale, intercept - slope * center / scale),)


def fit_isotonic(scores: _Floats, relevant: npt.NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Return (score, probability) at the ends of every step, scores ascending.

    Raises:
        InvalidInputError: All pairs fall into one step: the scores do not rise with relevance.
    """
    xs, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    sums = np.bincount(inverse, weights=relevant.astype(np.float64))
    # Blocks of (sum of labels, pairs, first x, last x); neighbours that fall are pooled.
    blocks: list[tuple[float, int, int, int]] = []
    for place, (total, count) in enumerate(zip(sums.tolist(), counts.tolist(), strict=True)):
        block = (total, count, place, place)
        while blocks and blocks[-1][0] * block[1] >= block[0] * blocks[-1][1]:
            total_before, count_before, first, _ = blocks.pop()
            block = (total_before + block[0], count_before + block[1], first, block[3])
        blocks.append(block)
    if len(blocks) == 1:
        msg = "these scores do not rise with relevance anywhere; check that label 1 means relevant"
        raise InvalidInputError(msg)
    knots: list[tuple[float, float]] = []
    for total, count, first, last in blocks:
        knots += [(float(xs[place]), total / count) for place in dict.fromkeys((first, last))]
    return tuple(knots)


def _newton(scores: _Floats, relevant: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and intercept that minimise the cross-entropy with Platt's targets."""
    n_relevant = int(relevant.sum())
    n_others = len(relevant) - n_relevant
    # Platt 1999, section 2.2: the targets of a prior count, so that separable data gives a finite slope.
    targets = np.where(relevant, (n_relevant + 1.0) / (n_relevant + 2.0), 1.0 / (n_others + 2.0))
    slope, intercept = 0.0, float(np.log((n_relevant + 1.0) / (n_others + 1.0)))
    loss = _cross_entropy(slope * scores + intercept, targets)
    for _ in range(_MAX_STEPS):
        probabilities = 0.5 * (1.0 + np.tanh(0.5 * (slope * scores + intercept)))
        errors = probabilities - targets
        weights = probabilities * (1.0 - probabilities)
        g_slope, g_intercept = float(errors @ scores), float(errors.sum())
        if max(abs(g_slope), abs(g_intercept)) < _TOLERANCE:
            break
        h_slope = float(weights @ (scores * scores)) + _RIDGE
        h_both, h_intercept = float(weights @ scores), float(weights.sum()) + _RIDGE
        determinant = h_slope * h_intercept - h_both * h_both
        d_slope = -(h_intercept * g_slope - h_both * g_intercept) / determinant
        d_intercept = -(h_slope * g_intercept - h_both * g_slope) / determinant
        directional = g_slope * d_slope + g_intercept * d_intercept
        step = 1.0
        while step >= _MIN_STEP:
            trial = _cross_entropy((slope + step * d_slope) * scores + intercept + step * d_intercept, targets)
            if trial < loss + _DECREASE * step * directional:
                break
            step /= 2.0
        else:
            break
        slope, intercept, loss = slope + step * d_slope, intercept + step * d_intercept, trial
    return slope, intercept


def _cross_entropy(logits: _Floats, targets: _Floats) -> float:
    # log(1 + exp(-x)) without overflow, plus the share of x that belongs to the other class.
    return float(np.sum(np.logaddexp(0.0, -logits) + (1.0 - targets) * logits))
