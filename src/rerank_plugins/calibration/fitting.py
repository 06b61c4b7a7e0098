"""Fits a calibration to labelled scores.

Platt scaling: Platt 1999, "Probabilistic outputs for support vector machines", with the targets of its section 2.2,
minimised by scipy. Isotonic regression: scipy's pool adjacent violators (Ayer et al. 1955; for probabilities Zadrozny &
Elkan 2002), between whose values the result is linear, as in scikit-learn. A calibration is applied without scipy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rerank_plugins.calibration.calibration import Calibration, CalibrationMethod, ScoreSource
from rerank_plugins.calibration.labels import checked_labels
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import InvalidInputError

__all__ = ["fit_calibration", "fit_isotonic", "fit_platt"]

_Floats = npt.NDArray[np.float64]
_ROUNDING = 1e-9


@checked_call(unchecked=("scores", "labels"))
def fit_calibration(
    scores: Sequence[float],
    labels: Sequence[bool] | Sequence[int],
    *,
    method: CalibrationMethod = "platt",
    source: ScoreSource | None = None,
) -> Calibration:
    """Return a map from raw scores to probabilities of relevance.

    ``platt`` is a sigmoid with two numbers: smooth, keeps the order, suitable from some dozens of pairs. ``isotonic``
    follows the data in steps: better from about a thousand pairs, gives equal probabilities to scores that it cannot
    separate.

    The probabilities are valid for pairs like these. If relevant pairs are rarer in use, they are too high.

    Args:
        scores: Raw scores, one per pair.
        labels: True (or 1) where the document answers the query.
        method: ``platt`` or ``isotonic``.
        source: What made the scores (``Reranker.score_source``), checked when the calibration is used; None
            accepts every model.

    Raises:
        InvalidInputError: No such method, scores that fall where relevance rises, or scores and labels that
            :func:`~rerank_plugins.calibration.labels.checked_labels` refuses.
        MissingExtraError: scipy is not installed.
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
    # Centred and scaled, so that the equations are well conditioned on any model's scale.
    center, scale = float(scores.mean()), float(scores.std())
    # What differs by rounding only is equal: scaled up, the rounding would look like a difference.
    is_flat = scale <= _ROUNDING * float(np.abs(scores).max())
    slope, intercept = (0.0, 0.0) if is_flat else _minimum((scores - center) / scale, relevant)
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
    means = np.bincount(inverse, weights=relevant.astype(np.float64)) / counts
    fitted = import_extra("scipy.optimize", extra="calibration").isotonic_regression(means, weights=counts)
    # The first and the last score of each step; a step with a single score has one.
    steps = zip(fitted.blocks[:-1].tolist(), (fitted.blocks[1:] - 1).tolist(), strict=True)
    places = [place for step in steps for place in dict.fromkeys(step)]
    if len(fitted.blocks) == 2:
        msg = "these scores do not rise with relevance anywhere; check that label 1 means relevant"
        raise InvalidInputError(msg)
    return tuple((float(xs[place]), float(fitted.x[place])) for place in places)


def _minimum(scores: _Floats, relevant: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and intercept that minimise the cross-entropy with Platt's targets."""
    n_relevant = int(relevant.sum())
    n_others = len(relevant) - n_relevant
    # Platt 1999, section 2.2: the targets of a prior count, so that separable data gives a finite slope.
    targets = np.where(relevant, (n_relevant + 1.0) / (n_relevant + 2.0), 1.0 / (n_others + 2.0))
    rows = np.stack([scores, np.ones_like(scores)])

    def loss(line: _Floats) -> tuple[float, _Floats]:
        logits = line @ rows
        # log(1 + exp(-x)) without overflow, plus the share of x that belongs to the other class; and the gradient.
        value = np.mean(np.logaddexp(0.0, -logits) + (1.0 - targets) * logits)
        return float(value), rows @ (0.5 * (1.0 + np.tanh(0.5 * logits)) - targets) / len(scores)

    start = (0.0, np.log((n_relevant + 1.0) / (n_others + 1.0)))
    optimize = import_extra("scipy.optimize", extra="calibration")
    # The loss is convex: if rounding ends the search before the gradient is this small, it is at the minimum too.
    found = optimize.minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-10})
    return float(found.x[0]), float(found.x[1])
