"""One scale for the scores of several models: log-odds of the probability that a document is relevant."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rerank_plugins.reranker import Reranker

__all__ = ["UNREAD_SCORE", "descending", "log_odds"]

UNREAD_SCORE = -1_000.0
"""Log-odds of a document that no stage scored: its probability is 0 to all digits. A blank one scores less."""

_SURE = 1e-12
"""Probabilities are taken as at least so far from 0 and 1, so that their log-odds (27.6) are finite."""


def log_odds(reranker: Reranker, score: float) -> float:
    """Return log(p / (1 - p)) of the probability p of a raw score, by the calibration or the model's own scale.

    Without a calibration the log-odds of a logit are the logit itself, and of a score below a tanh twice the score. A
    cosine, or a sum of them, is no logit: its log-odds are those of its probability.
    """
    scale = reranker.spec.score_scale
    if reranker.calibration is None and scale in ("logit", "tanh"):
        return 2.0 * score if scale == "tanh" else score
    probability = min(max(reranker.probability(score), _SURE), 1.0 - _SURE)
    return math.log(probability) - math.log1p(-probability)


def descending(values: Sequence[float], places: Sequence[int]) -> list[float]:
    """Return values that sort into the order in which they are given, each changed as little as possible.

    A value above one before it becomes that one: nothing falls below what stands behind it. Equal values are sorted
    by their place in the call, as all rerankers here do; where that would turn two of them round, the second gets the
    next smaller number.

    Args:
        values: In the order that is wanted, best first.
        places: For each its place in the call.
    """
    result: list[float] = []
    for position, value in enumerate(values):
        if position:
            value = min(value, result[-1])
            if value == result[-1] and places[position] < places[position - 1]:
                value = math.nextafter(value, -math.inf)
        result.append(value)
    return result
