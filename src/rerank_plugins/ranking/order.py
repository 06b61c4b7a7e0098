"""Probabilities of scores, thresholds, and stable ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rerank_plugins.catalog.spec import ScoreScale
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import ScoreUnit

__all__ = ["check_threshold", "check_top_n", "passes", "sorted_indices", "to_probability"]


def to_probability(score: float, *, scale: ScoreScale, highest: float = 1.0) -> float:
    """Return the probability in [0, 1] of a raw score.

    A logit goes through the logistic function 1 / (1 + exp(-x)), written so that neither end
    overflows; a score below a tanh gives (1 + tanh(x)) / 2, the logistic function of 2 x; a sum of cosines gives
    (1 + mean cosine) / 2, clipped to [0, 1]; the last scale already is a probability and is clipped too.

    Args:
        score: The raw score.
        scale: What it is.
        highest: How many cosines a sum is made of; 1 for a mean.
    """
    if scale == "cosine":
        score, scale = (1.0 + score / highest) / 2.0, "probability"
    if scale == "probability":
        return min(max(score, 0.0), 1.0)
    if scale == "tanh":
        score *= 2
    if score >= 0:
        return 1.0 / (1.0 + math.exp(-score))
    # exp(-745) is the smallest positive double; below it the probability is exactly 0.
    grown = math.exp(max(score, -746.0))
    return grown / (1.0 + grown)


def sorted_indices(scores: Sequence[float], *, blank: Sequence[bool]) -> list[int]:
    """Return indices from best to worst: ties keep input order, blank documents come last."""
    return sorted(range(len(scores)), key=lambda index: (blank[index], -scores[index]))


def passes(*, score: float, probability: float, threshold: float | None, unit: ScoreUnit) -> bool:
    """Return whether a score reaches the threshold (equal counts); None lets everything pass."""
    if threshold is None:
        return True
    return (score if unit == "raw" else probability) >= threshold


def check_top_n(top_n: int | None) -> None:
    """Raise InvalidInputError unless ``top_n`` is None or a positive integer."""
    if top_n is None:
        return
    if isinstance(top_n, bool) or not isinstance(top_n, int) or top_n < 1:
        msg = f"top_n must be a positive integer, or None for all documents; got {top_n!r}"
        raise InvalidInputError(msg)


def check_threshold(threshold: float | None, *, unit: ScoreUnit) -> None:
    """Raise InvalidInputError unless the threshold is None or a number in the range of its unit."""
    if unit not in ("raw", "probability"):
        msg = f"threshold_unit must be 'raw' or 'probability', got {unit!r}"
        raise InvalidInputError(msg)
    if threshold is None:
        return
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or math.isnan(threshold):
        msg = f"threshold must be a number or None, got {threshold!r}"
        raise InvalidInputError(msg)
    if unit == "probability" and not 0.0 <= threshold <= 1.0:
        msg = (
            f"threshold {threshold} is not a probability in [0, 1]; "
            "pass threshold_unit='raw' to compare with raw scores"
        )
        raise InvalidInputError(msg)
