"""Fuses several rankings of one query."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import InvalidInputError

__all__ = ["reciprocal_rank_fusion", "weighted_fusion"]

Scores = Mapping[str, float]
"""Document id to score, best first."""


@checked_call()
def reciprocal_rank_fusion(
    rankings: Sequence[Scores], *, k: int = 60, weights: Sequence[float] | None = None
) -> dict[str, float]:
    """Return the sum over the rankings of ``weight / (k + rank)``, rank 1 being the best.

    Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning
    methods", SIGIR 2009; they use k = 60. Only the order within a ranking counts, not its scores.

    Args:
        rankings: Each ordered from best to worst; a document that one does not have gets nothing from it.
        k: How little the first ranks stand out.
        weights: One for each ranking; None counts all alike.

    Returns:
        Document id to fused score, best first; ties keep the order in which documents are first met.

    Raises:
        InvalidInputError: ``k`` is below 0, or the weights do not fit the rankings.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 0:
        msg = f"k must be a whole number of 0 or more, got {k!r}"
        raise InvalidInputError(msg)
    shares: dict[str, list[float]] = {}
    for weight, ranking in zip(_checked(weights, rankings), rankings, strict=True):
        for rank, document_id in enumerate(ranking, start=1):
            shares.setdefault(document_id, []).append(weight / (k + rank))
    return _best_first(shares)


@checked_call()
def weighted_fusion(rankings: Sequence[Scores], *, weights: Sequence[float] | None = None) -> dict[str, float]:
    """Return the weighted sum of the scores, each ranking's scaled to [0, 1] by its own least and largest.

    A document that is missing in a ranking counts 0 there, like its last document. If all scores of a
    ranking are equal, each counts 1.

    Args:
        rankings: Document id to score; any scale.
        weights: One for each ranking; None counts all alike, with weights that sum to 1.

    Returns:
        Document id to fused score, best first; ties keep the order in which documents are first met.

    Raises:
        InvalidInputError: The weights do not fit the rankings, or a score is not finite.
    """
    checked = _checked(weights, rankings)
    if weights is None:
        checked = [1.0 / max(len(rankings), 1)] * len(rankings)
    shares: dict[str, list[float]] = {}
    for weight, ranking in zip(checked, rankings, strict=True):
        for document_id, share in _min_max(ranking).items():
            shares.setdefault(document_id, []).append(weight * share)
    return _best_first(shares)


def _min_max(ranking: Scores) -> dict[str, float]:
    for document_id, score in ranking.items():
        if not math.isfinite(score):
            msg = f"the score of document {document_id!r} is {score}; only finite scores can be scaled"
            raise InvalidInputError(msg)
    if not ranking:
        return {}
    low, high = min(ranking.values()), max(ranking.values())
    if low == high:
        return dict.fromkeys(ranking, 1.0)
    return {document_id: (score - low) / (high - low) for document_id, score in ranking.items()}


def _checked(weights: Sequence[float] | None, rankings: Sequence[Scores]) -> list[float]:
    if weights is None:
        return [1.0] * len(rankings)
    try:
        numbers = [float(weight) for weight in weights]
    except (TypeError, ValueError) as error:
        msg = f"weights must be a list of numbers, or None to count all alike; got {weights!r}"
        raise InvalidInputError(msg) from error
    if len(numbers) != len(rankings):
        msg = f"{len(rankings)} rankings need {len(rankings)} weights, got {len(numbers)}"
        raise InvalidInputError(msg)
    if not all(math.isfinite(weight) and weight >= 0.0 for weight in numbers) or not any(numbers):
        msg = f"weights must be 0 or more, and one of them above 0; got {numbers}"
        raise InvalidInputError(msg)
    return numbers


def _best_first(shares: Mapping[str, Sequence[float]]) -> dict[str, float]:
    # Rounded once: the same ranks in another order of the rankings are a tie.
    fused = {document_id: math.fsum(some) for document_id, some in shares.items()}
    return dict(sorted(fused.items(), key=lambda item: -item[1]))
