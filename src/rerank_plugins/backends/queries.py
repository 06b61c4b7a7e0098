"""Groups pairs by query, for backends that score all documents of a query together."""

from __future__ import annotations

from rerank_plugins.backends.protocol import Pairs

__all__ = ["places_by_query"]


def places_by_query(pairs: Pairs) -> dict[str, list[int]]:
    """Return the places of the pairs of each query, queries and places in the order in which they come."""
    groups: dict[str, list[int]] = {}
    for place, (query, _) in enumerate(pairs):
        groups.setdefault(query, []).append(place)
    return groups
