"""Packs inputs into batches under a token budget, by their lengths alone. Pure functions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from rerank_plugins.protocols import TokenInput

__all__ = ["batch_cost_tokens", "batch_order", "pack", "unique_inputs"]


def batch_cost_tokens(lengths: Sequence[int], *, padded: bool) -> int:
    """Return the token slots a batch occupies: ``max * n`` when padded, else the sum."""
    return max(lengths, default=0) * len(lengths) if padded else sum(lengths)


def batch_order(lengths: Sequence[int], prefixes: Sequence[Hashable] | None = None) -> list[int]:
    """Return the indices of inputs in the order in which batches are filled: the longest first.

    Sorting by token count keeps padding small and lets the largest batch fail first, if one must.

    Args:
        lengths: Tokens of each input.
        prefixes: What each input begins with, for a model that runs a common prefix once per batch. Inputs with equal
            prefixes are kept together, the longest first, at the place of the longest of them. None keeps none
            together.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    if prefixes is None:
        return order
    rank: dict[Hashable, int] = {}
    for index in order:
        rank.setdefault(prefixes[index], len(rank))
    return sorted(order, key=lambda index: rank[prefixes[index]])


def pack(
    lengths: Sequence[int], *, budget_tokens: int, padded: bool, prefixes: Sequence[Hashable] | None = None
) -> list[list[int]]:
    """Return batches of indices in :func:`batch_order`.

    Args:
        lengths: Tokens of each input.
        budget_tokens: Slots a batch may occupy. Only an input longer than that exceeds it, alone.
        padded: How a batch's slots are counted, see :func:`batch_cost_tokens`.
        prefixes: See :func:`batch_order`; None if ``padded``.

    Returns:
        Each index exactly once; inputs of equal length keep their order.
    """
    batches: list[list[int]] = []
    used = 0
    for index in batch_order(lengths, prefixes):
        length = lengths[index]
        if batches:
            # Longest first: the first input of a batch gives the padded width.
            width = lengths[batches[-1][0]]
            cost = width * (len(batches[-1]) + 1) if padded else used + length
            if cost <= budget_tokens:
                batches[-1].append(index)
                used += length
                continue
        batches.append([index])
        used = length
    return batches


def unique_inputs(inputs: Sequence[TokenInput]) -> tuple[list[TokenInput], list[int]]:
    """Return the distinct inputs, and for each input its index among them.

    Equal inputs run once and get equal rows; rounding inside a batch could rank two copies of a document apart.
    """
    index_of_key: dict[Hashable, int] = {}
    unique: list[TokenInput] = []
    indices: list[int] = []
    for one in inputs:
        index = index_of_key.setdefault(one.key, len(unique))
        if index == len(unique):
            unique.append(one)
        indices.append(index)
    return unique, indices
