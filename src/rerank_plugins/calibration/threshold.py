"""A threshold for a wanted precision or recall, fitted on labelled pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

from rerank_plugins.calibration.labels import checked_labels
from rerank_plugins.checks.arguments import checked_call, checked_fields
from rerank_plugins.errors import InvalidInputError

__all__ = ["FittedThreshold", "ThresholdGoal", "fit_threshold", "measure_threshold"]

ThresholdGoal = Literal["precision", "recall"]

_Floats = npt.NDArray[np.float64]
_ROUNDING = 1e-12


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class FittedThreshold:
    """A threshold, with its precision and recall on the pairs that it was measured on.

    Attributes:
        value: Pairs that score at least this pass. In the unit of the scores: raw, usually.
        goal: ``precision`` or ``recall``, if it was fitted for one; None if the value was passed.
        target: How much of it; None likewise.
        precision: Share of the pairs that pass which are relevant; 1.0 when none passes.
        recall: Share of the relevant pairs that pass.
        n_kept: Pairs that pass.
        n_pairs: Pairs measured.
    """

    value: float
    goal: ThresholdGoal | None = None
    target: float | None = None
    precision: float
    recall: float
    n_kept: int
    n_pairs: int


@dataclass(frozen=True, slots=True, eq=False)
class _Cuts:
    """Thresholds from high to low, the pairs that pass each, and the relevant ones among them."""

    values: _Floats
    n_kept: npt.NDArray[np.int64]
    hits: npt.NDArray[np.int64]


@checked_call(unchecked=("scores", "labels"))
def fit_threshold(
    scores: Sequence[float],
    labels: Sequence[bool] | Sequence[int],
    *,
    precision: float | None = None,
    recall: float | None = None,
    confidence: float | None = None,
    min_kept: int | None = None,
) -> FittedThreshold:
    """Return the threshold with the highest recall at a wanted precision, or the highest one with a wanted recall.

    It is half way between two scores of the pairs. Its precision on these pairs is a little better than on other
    pairs, the more so the fewer pairs pass: check it with :func:`measure_threshold` on pairs that it was not fitted
    on, or pass ``confidence``.

    Args:
        scores: One per pair.
        labels: True (or 1) where the document answers the query.
        precision: Wanted share of relevant pairs among those that pass, in (0, 1].
        recall: Wanted share of relevant pairs that pass, in (0, 1]. Give one of the two.
        confidence: None asks that the share itself reaches the target; 0.95 that its lower confidence bound does
            (one-sided, Wilson 1927, which takes pairs as independent).
        min_kept: Pairs that must pass at least, since the precision of a few pairs is luck; None takes a tenth of
            the relevant pairs, between 1 and 10.

    Raises:
        InvalidInputError: Not exactly one target, an option out of range, no threshold reaches it, or scores and
            labels that :func:`~rerank_plugins.calibration.labels.checked_labels` refuses.
    """
    goal, target = _goal(precision, recall)
    values, relevant = checked_labels(scores, labels)
    least = _least(min_kept, n_relevant=int(relevant.sum()))
    cuts = _cuts(values, relevant)
    shares = cuts.hits / (cuts.n_kept if goal == "precision" else cuts.hits[-1])
    counts = cuts.n_kept if goal == "precision" else np.full(len(shares), cuts.hits[-1])
    bounds = shares if confidence is None else _lower_bounds(shares, counts, confidence=confidence)
    good = np.flatnonzero((bounds >= target - _ROUNDING) & (cuts.n_kept >= least))
    if not len(good):
        raise InvalidInputError(_unreachable(goal, target, bounds[cuts.n_kept >= least], least, len(values)))
    # For precision the lowest threshold that reaches it, for recall the highest.
    choice = int(good[-1] if goal == "precision" else good[0])
    return FittedThreshold(
        value=float(cuts.values[choice]),
        goal=goal,
        target=target,
        precision=float(cuts.hits[choice] / cuts.n_kept[choice]),
        recall=float(cuts.hits[choice] / cuts.hits[-1]),
        n_kept=int(cuts.n_kept[choice]),
        n_pairs=len(values),
    )


@checked_call(unchecked=("scores", "labels"))
def measure_threshold(
    scores: Sequence[float], labels: Sequence[bool] | Sequence[int], *, threshold: float
) -> FittedThreshold:
    """Return precision and recall of a threshold on pairs, for example on those that it was not fitted on.

    Raises:
        InvalidInputError: The threshold is NaN, or as in :func:`fit_threshold`.
    """
    values, relevant = checked_labels(scores, labels)
    if math.isnan(threshold):
        msg = "the threshold is NaN, which no score passes; fit one with fit_threshold"
        raise InvalidInputError(msg)
    kept = values >= threshold
    n_kept, hits = int(kept.sum()), int((kept & relevant).sum())
    return FittedThreshold(
        value=float(threshold),
        precision=hits / n_kept if n_kept else 1.0,
        recall=hits / int(relevant.sum()),
        n_kept=n_kept,
        n_pairs=len(values),
    )


def _goal(precision: float | None, recall: float | None) -> tuple[ThresholdGoal, float]:
    if (precision is None) == (recall is None):
        msg = f"give a wanted precision or a wanted recall, one of them; got precision={precision}, recall={recall}"
        raise InvalidInputError(msg)
    goal: ThresholdGoal = "precision" if precision is not None else "recall"
    target = precision if precision is not None else recall
    if isinstance(target, bool) or not isinstance(target, (int, float)) or not 0.0 < target <= 1.0:
        msg = f"{goal} must be in (0, 1], got {target!r}"
        raise InvalidInputError(msg)
    return goal, float(target)


def _cuts(values: _Floats, relevant: npt.NDArray[np.bool_]) -> _Cuts:
    """Return all possible thresholds: between two different scores, and below the last."""
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], [True]))
    below = np.append(ranked[ends[:-1] + 1], ranked[-1])
    middles = below + (ranked[ends] - below) / 2
    # Between adjacent floats there is no middle: the upper one, which passes, is the threshold.
    return _Cuts(
        np.where(middles > below, middles, ranked[ends]), ends + 1, np.cumsum(relevant[order].astype(np.int64))[ends]
    )


def _lower_bounds(shares: _Floats, counts: npt.NDArray[np.int64], *, confidence: float) -> _Floats:
    """Return the one-sided lower bounds of Wilson's score interval."""
    if not isinstance(confidence, float) or not 0.5 < confidence < 1.0:
        msg = f"confidence must be between 0.5 and 1, or None; got {confidence!r}"
        raise InvalidInputError(msg)
    z = NormalDist().inv_cdf(confidence)
    spread = z * np.sqrt(shares * (1.0 - shares) / counts + z * z / (4.0 * counts * counts))
    bounds: _Floats = (shares + z * z / (2.0 * counts) - spread) / (1.0 + z * z / counts)
    return bounds


def _least(min_kept: int | None, *, n_relevant: int) -> int:
    if min_kept is None:
        return min(max(n_relevant // 10, 1), 10)
    if isinstance(min_kept, bool) or not isinstance(min_kept, int) or min_kept < 1:
        msg = f"min_kept must be a positive integer or None, got {min_kept!r}"
        raise InvalidInputError(msg)
    return min_kept


def _unreachable(goal: str, target: float, reached: _Floats, min_kept: int, n_pairs: int) -> str:
    if not len(reached):
        return f"min_kept={min_kept} is more than the {n_pairs} labelled pairs; label more pairs, or ask for fewer"
    return (
        f"no threshold that keeps at least {min_kept} of {n_pairs} pairs has {goal} {target:g}; the best has "
        f"{float(reached.max()):.3f}. Ask for less, or use a better model"
    )
