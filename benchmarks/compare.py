"""Are two lists of scores the same, and do they rank the same? Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["largest_difference", "mean_top_overlap", "ratio", "top_overlap"]


def largest_difference(scores: Sequence[float], reference: Sequence[float]) -> float:
    """Return the largest absolute difference of two score lists in the same order.

    Raises:
        ValueError: Their lengths differ.
    """
    return max((abs(one - other) for one, other in zip(scores, reference, strict=True)), default=0.0)


def top_overlap(scores: Sequence[float], reference: Sequence[float], *, n: int = 10) -> float:
    """Return the share of the reference's ``n`` best that are among the ``n`` best of the scores."""
    if not reference:
        return 1.0
    wanted, found = _best(reference, n), _best(scores, n)
    return len(wanted & found) / len(wanted)


def mean_top_overlap(
    scores: Sequence[float], reference: Sequence[float], *, queries: Sequence[str], n: int = 10
) -> float:
    """Return the mean of :func:`top_overlap` over queries; ``queries`` names the query of each pair."""
    rows: dict[str, list[int]] = {}
    for index, query in enumerate(queries):
        rows.setdefault(query, []).append(index)
    shares = [
        top_overlap([scores[index] for index in indices], [reference[index] for index in indices], n=n)
        for indices in rows.values()
    ]
    return sum(shares) / len(shares) if shares else 1.0


def ratio(slower_s: float | None, faster_s: float | None) -> float | None:
    """Return how many times faster the second is; None if one of them is."""
    if slower_s is None or faster_s is None or faster_s <= 0:
        return None
    return slower_s / faster_s


def _best(scores: Sequence[float], n: int) -> set[int]:
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    return set(order[:n])
