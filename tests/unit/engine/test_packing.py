"""The packer: exact cuts, the outlier, the floor, and what holds for any input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.engine.packing import batch_cost_tokens, batch_order, pack


def test_exact_cuts() -> None:
    lengths = [5, 9, 2, 7]
    assert pack(lengths, budget_tokens=14, padded=False) == [[1], [3, 0, 2]]
    # Padded, the first of a batch is the widest: 9 * 2 = 18 and 7 * 2 = 14 fit, a third would not.
    assert pack(lengths, budget_tokens=18, padded=True) == [[1, 3], [0, 2]]


def test_equal_lengths_keep_their_order() -> None:
    assert pack([3, 3, 3, 3], budget_tokens=6, padded=True) == [[0, 1], [2, 3]]


def test_inputs_that_begin_alike_stay_together() -> None:
    lengths, prefixes = [5, 9, 2, 7, 8], ["a", "b", "b", "a", "b"]
    assert batch_order(lengths, prefixes) == [1, 4, 2, 3, 0]
    assert pack(lengths, budget_tokens=19, padded=False, prefixes=prefixes) == [[1, 4, 2], [3, 0]]
    assert batch_order(lengths) == batch_order(lengths, ["a"] * 5) == batch_order(lengths, range(5)) == [1, 4, 3, 0, 2]


def test_nothing_gives_no_batch() -> None:
    assert pack([], budget_tokens=8, padded=True) == []


@given(lengths=st.lists(st.integers(0, 40), max_size=60), budget=st.integers(1, 120), padded=st.booleans())
def test_every_index_once_and_only_a_lone_outlier_exceeds_the_budget(
    lengths: list[int], budget: int, *, padded: bool
) -> None:
    batches = pack(lengths, budget_tokens=budget, padded=padded)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        cost = batch_cost_tokens([lengths[index] for index in batch], padded=padded)
        assert cost <= budget or len(batch) == 1
    flat = [lengths[index] for batch in batches for index in batch]
    assert flat == sorted(flat, reverse=True)


@pytest.mark.parametrize(("padded", "cost"), [(True, 15), (False, 10)])
def test_cost(*, padded: bool, cost: int) -> None:
    assert batch_cost_tokens([5, 3, 2], padded=padded) == cost
    assert batch_cost_tokens([], padded=padded) == 0
