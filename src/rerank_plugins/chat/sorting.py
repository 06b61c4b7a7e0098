"""Sorting with few comparisons: generators that ask for each, and keep the order that came where they can."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rerank_plugins.chat.asking import Steps, together

__all__ = ["Beats", "Best", "heap_top", "insertion_top", "windows"]

Best = Callable[[Sequence[int]], Steps[int]]
"""Gets some documents, the present root first, and finds the one of them that is best."""

Beats = Callable[[int, int], Steps[bool]]
"""Finds whether the first document is better than the second."""


def windows(n: int, *, window: int, step: int) -> list[tuple[int, int]]:
    """Return the windows of one pass over ``n`` documents, from the last to the first, as (start, end).

    The rule of rank_llm: the last window begins at 0 however many documents are left for it, so that every document is
    in a window and neighbours share ``window - step`` documents. RankGPT's published loop makes no window for fewer
    documents than ``window``, and for 25 none that holds the first five.
    """
    if n < 2:
        return []
    found, end = [], n
    while True:
        start = max(0, end - window)
        found.append((start, end))
        if start == 0:
            return found
        end -= step


def heap_top(n: int, *, top_k: int, children: int, best: Best) -> Steps[list[int]]:
    """Return the order of ``n`` documents whose best ``top_k`` were found by heapsort; the rest as it came.

    The heap of ``ielab/llm-rankers`` (arXiv 2306.17563, 2310.09497), in which a node has ``children`` children. Nodes
    of one depth are settled at the same time while it is built, which changes no result.
    """
    heap = list(range(n))
    for level in reversed(_levels(n, children)):
        yield from together([_sift(heap, node, n, children, best) for node in level])
    top: list[int] = []
    for end in range(n - 1, -1, -1):
        heap[0], heap[end] = heap[end], heap[0]
        top.append(heap[end])
        if len(top) == min(top_k, n):
            break
        yield from _sift(heap, 0, end, children, best)
    return _with_rest(top, n)


def insertion_top(n: int, *, top_k: int, beats: Beats) -> Steps[list[int]]:
    """Return the order of ``n`` documents whose best ``top_k`` were found by binary insertion; the rest as it came.

    Each document is compared with the last of the best first, which ends the matter for most of them where the order
    that came is good (setwise insertion, arXiv 2504.10509, uses the same). Equal documents keep their order.
    """
    top: list[int] = []
    for one in range(n):
        is_full = len(top) >= top_k
        if is_full and not (yield from beats(one, top[-1])):
            continue
        low, high = 0, len(top) - is_full
        while low < high:
            middle = (low + high) // 2
            if (yield from beats(one, top[middle])):
                high = middle
            else:
                low = middle + 1
        top.insert(low, one)
        del top[top_k:]
    return _with_rest(top, n)


def _sift(heap: list[int], node: int, end: int, children: int, best: Best) -> Steps[None]:
    while (first := node * children + 1) < end:
        places = [node, *range(first, min(first + children, end))]
        winner = yield from best([heap[place] for place in places])
        place = places[[heap[one] for one in places].index(winner)]
        if place == node:
            return
        heap[node], heap[place] = heap[place], heap[node]
        node = place


def _levels(n: int, children: int) -> list[range]:
    """Return the nodes of each depth that have children."""
    levels, start, width = [], 0, 1
    while start * children + 1 < n:
        levels.append(range(start, min(start + width, n)))
        start, width = start + width, width * children
    return levels


def _with_rest(top: Sequence[int], n: int) -> list[int]:
    there = set(top)
    return [*top, *(one for one in range(n) if one not in there)]
