"""The algorithms against those that were published, written out."""

from __future__ import annotations

import copy
import itertools
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.chat.sorting import heap_top, insertion_top, windows


def rank_gpt_windows(n: int, window: int, step: int) -> list[tuple[int, int]]:
    """RankGPT, ``rank_gpt.py``: sliding_windows."""
    found, end, start = [], n, n - window
    while start >= 0:
        found.append((start, end))
        end, start = end - step, start - step
    return found


def rank_llm_windows(n: int, window: int, step: int) -> list[tuple[int, int]]:
    """rank_llm, ``listwise_rankllm.py``: sliding_windows, whose window is at most the number of documents."""
    window = min(window, n)
    found, end, start = [], n, n - window
    while end > 0 and start + step != 0:
        start = max(start, 0)
        found.append((start, end))
        end, start = end - step, start - step
    return found


def rank_gpt_permutation(answer: str, n: int) -> list[int]:
    """RankGPT, ``rank_gpt.py``: receive_permutation."""
    digits = "".join(one if one.isdigit() else " " for one in answer)
    named = list(dict.fromkeys(int(one) - 1 for one in digits.split()))
    named = [one for one in named if one in range(n)]
    return named + [one for one in range(n) if one not in named]


def llm_rankers_heap(items: list[int], children: int, top_k: int, best: Callable[[list[int]], int]) -> list[int]:
    """llm-rankers, ``setwise.py``: heapSort and heapify; ``best`` gives the position of the label."""

    def heapify(end: int, node: int) -> None:
        if children * node + 1 < end:
            places = [node, *range(children * node + 1, min(children * (node + 1) + 1, end))]
            largest = places[best([items[one] for one in places])]
            if largest != node:
                items[node], items[largest] = items[largest], items[node]
                heapify(end, largest)

    n = len(items)
    for node in range(n // children, -1, -1):
        heapify(n, node)
    for ranked, end in enumerate(range(n - 1, 0, -1), start=1):
        items[end], items[0] = items[0], items[end]
        if ranked == top_k:
            break
        heapify(end, 0)
    return items[::-1]


def run(steps: Any, answer: Callable[[Any], Any]) -> Any:
    taken = None
    while True:
        try:
            asked = steps.send(taken)
        except StopIteration as end:
            return end.value
        taken = [answer(one) for one in asked]


@pytest.mark.parametrize(("window", "step"), [(20, 10), (10, 5), (4, 2), (4, 3), (2, 1)])
def test_every_document_is_in_a_window(window: int, step: int) -> None:
    for n in range(2, 121):
        found = windows(n, window=window, step=step)
        assert {one for start, end in found for one in range(start, end)} == set(range(n))
        assert len(found) == (1 if n <= window else math.ceil((n - window) / step) + 1)
        # Neighbours share documents, so that the best can go up from one to the next.
        assert all(later[1] > earlier[0] for earlier, later in itertools.pairwise(found))
    assert windows(1, window=window, step=step) == windows(0, window=window, step=step) == []


@pytest.mark.parametrize("n", range(20, 121))
def test_windows_of_rank_llm(n: int) -> None:
    assert windows(n, window=20, step=10) == rank_llm_windows(n, 20, 10)


@pytest.mark.parametrize("n", [20, 30, 40, 100])
def test_windows_of_rank_gpt_where_it_compares_all(n: int) -> None:
    assert windows(n, window=20, step=10) == rank_gpt_windows(n, 20, 10)


def test_windows_where_rank_gpt_does_not() -> None:
    assert rank_gpt_windows(10, 20, 10) == []
    assert windows(10, window=20, step=10) == [(0, 10)]
    assert rank_gpt_windows(25, 20, 10) == [(5, 25)]
    assert windows(25, window=20, step=10) == [(5, 25), (0, 15)]


@given(values=st.lists(st.integers(), unique=True, max_size=40), top_k=st.integers(1, 45), children=st.integers(2, 5))
@settings(derandomize=True, deadline=None)
def test_heap_finds_the_best_and_is_that_of_llm_rankers(values: list[int], top_k: int, children: int) -> None:
    def best(some: Any) -> Any:
        (chosen,) = yield [list(some)]
        return chosen

    def answer(some: list[int]) -> int:
        return max(some, key=lambda one: values[one])

    n = len(values)
    order = run(heap_top(n, top_k=top_k, children=children, best=best), answer)
    assert sorted(order) == list(range(n))
    expected = sorted(range(n), key=lambda one: -values[one])[:top_k]
    assert order[:top_k] == expected
    assert order[top_k:] == sorted(order[top_k:])
    published = llm_rankers_heap(
        list(range(n)), children, top_k, lambda some: max(range(len(some)), key=lambda one: values[some[one]])
    )
    assert published[:top_k][: len(expected)] == expected


@given(seed=st.integers(0, 10_000), n=st.integers(2, 30), children=st.integers(2, 4))
@settings(derandomize=True, deadline=None)
def test_heap_does_what_the_published_one_does_for_any_answers(seed: int, n: int, children: int) -> None:
    """Also for a model that contradicts itself: its answer depends on the set and nothing else."""

    def choose(some: list[int]) -> int:
        return random.Random(f"{seed} {some}").randrange(len(some))

    def best(some: Any) -> Any:
        (chosen,) = yield [list(some)]
        return some[chosen]

    order = run(heap_top(n, top_k=5, children=children, best=best), choose)
    assert order[:5] == llm_rankers_heap(list(range(n)), children, 5, choose)[:5]


@given(values=st.lists(st.integers(0, 9), max_size=40), top_k=st.integers(1, 45))
@settings(derandomize=True, deadline=None)
def test_insertion_finds_the_best_with_few_comparisons(values: list[int], top_k: int) -> None:
    compared = 0

    def beats(one: int, other: int) -> Any:
        nonlocal compared
        compared += 1
        (found,) = yield [(one, other)]
        return found

    n = len(values)
    order = run(insertion_top(n, top_k=top_k, beats=beats), lambda pair: values[pair[0]] > values[pair[1]])
    assert order[:top_k] == sorted(range(n), key=lambda one: -values[one])[:top_k]
    assert order[top_k:] == sorted(order[top_k:])
    assert compared <= n * (math.ceil(math.log2(top_k + 1)) + 1)


def test_a_good_order_costs_insertion_one_comparison_a_document() -> None:
    compared = 0

    def beats(one: int, other: int) -> Any:
        nonlocal compared
        compared += 1
        yield from ()
        return one < other

    run(insertion_top(100, top_k=10, beats=beats), copy.copy)
    assert compared <= 90 + 10 * 4
