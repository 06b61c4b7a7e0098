"""Aggregates the raw scores of a document's windows into the score of the document.

FirstP, MaxP: Dai & Callan 2019, "Deeper Text Understanding for IR with Contextual Neural Language
Modeling" (arXiv:1905.09217). MeanP and the mean of the best k are the usual alternatives.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from rerank_plugins.types import LongDocuments

__all__ = ["aggregate_windows"]


def aggregate_windows(scores: Sequence[float], settings: LongDocuments) -> tuple[float, int | None]:
    """Return the document's score and the index of the window it was read from.

    Args:
        scores: Raw scores of the windows, in reading order, at least one.
        settings: The strategy and its parameters.

    Returns:
        (score, winner); the winner is None when several windows were averaged. Of equal windows
        the first wins.
    """
    if len(scores) == 1 or settings.strategy in ("truncate", "firstp"):
        return scores[0], 0
    if settings.strategy == "maxp":
        best = max(scores)
        return best, scores.index(best)
    if settings.strategy == "topkmean":
        scores = heapq.nlargest(settings.top_k, scores)
    return sum(scores) / len(scores), None
