"""After ranking: diversity, both ends, a budget of tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins import InvalidInputError
from rerank_plugins.ranking.after import best_at_both_ends, diverse_order, within_tokens


def greedy(relevance: list[float], vectors: np.ndarray, trade_off: float) -> list[int]:
    """MMR as its definition says, without any bookkeeping."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    taken: list[int] = []
    while len(taken) < len(relevance):
        left = [place for place in range(len(relevance)) if place not in taken]
        gains = [
            trade_off * relevance[place]
            - (1 - trade_off) * max((float(unit[place] @ unit[other]) for other in taken), default=0.0)
            for place in left
        ]
        taken.append(left[int(np.argmax(gains))])
    return taken


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 9), st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_mmr_is_its_definition(n: int, seed: int, trade_off: float) -> None:
    random = np.random.default_rng(seed)
    relevance = sorted(random.random(n).tolist(), reverse=True)
    vectors = random.standard_normal((n, 3))
    assert diverse_order(relevance, vectors, trade_off=trade_off) == greedy(relevance, vectors, trade_off)


def test_relevance_alone_keeps_the_ranking_and_a_copy_goes_back() -> None:
    vectors = [[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]
    assert diverse_order([0.9, 0.9, 0.5], vectors, trade_off=1.0) == [0, 1, 2]
    assert diverse_order([0.9, 0.9, 0.5], vectors, trade_off=0.5) == [0, 2, 1]
    assert diverse_order([0.9, 0.9, 0.5], vectors, trade_off=0.5, top_n=2) == [0, 2]
    assert diverse_order([], []) == []


@pytest.mark.parametrize("seed", range(20))
def test_equal_documents_keep_the_order_of_the_ranking(seed: int) -> None:
    random = np.random.default_rng(seed)
    some = random.standard_normal((3, 384)).astype(np.float32)
    copies = some[random.integers(0, 3, size=20)]
    # Once one of each is taken, the others are copies that are all as like.
    assert diverse_order([0.5] * 20, copies[:1].repeat(20, axis=0), trade_off=0.5) == list(range(20))
    order = diverse_order([0.5] * 20, copies, trade_off=0.0)
    n_different = len(np.unique(copies, axis=0))
    assert order[n_different:] == sorted(order[n_different:])


@pytest.mark.parametrize("length", [1e-200, 1e-13, 1e200])
def test_vectors_have_any_length(length: float) -> None:
    vectors = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]) * length
    assert diverse_order([0.9, 0.9, 0.5], vectors, trade_off=0.5) == [0, 2, 1]


def test_a_vector_of_zeros_is_like_nothing() -> None:
    assert diverse_order([0.9, 0.8, 0.7], [[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], trade_off=0.5) == [0, 2, 1]


@pytest.mark.parametrize(
    ("relevance", "vectors"),
    [
        ([0.5], [[1.0], [2.0]]),
        ([1.5], [[1.0]]),
        ([float("nan")], [[1.0]]),
        ([0.5], [[float("nan")]]),
        ([0.5], [1.0]),
        (["x"], [[1.0]]),
        ([0.5], [["x"]]),
    ],
)
def test_mmr_refuses_what_has_no_meaning(relevance: Any, vectors: Any) -> None:
    with pytest.raises(InvalidInputError):
        diverse_order(relevance, vectors)


@pytest.mark.parametrize(
    ("n", "places"), [(0, []), (1, [0]), (2, [0, 1]), (5, [0, 2, 4, 3, 1]), (6, [0, 2, 4, 5, 3, 1])]
)
def test_the_best_stand_at_both_ends(n: int, places: list[int]) -> None:
    assert best_at_both_ends(n) == places


def test_as_many_of_the_best_as_fit() -> None:
    texts = ["a b c", "d e f g h", None, "i", "j k"]
    count = lambda text: len(text.split())  # noqa: E731
    assert within_tokens(texts, max_tokens=6, count_tokens=count) == [0, 2, 3, 4]
    assert within_tokens(texts, max_tokens=6, count_tokens=count, separator_tokens=1) == [0, 2, 3]
    assert within_tokens(texts, max_tokens=8, count_tokens=count) == [0, 1, 2]
    assert within_tokens(["a b"], max_tokens=1, count_tokens=count) == []
    for wrong in (lambda _: "3", lambda _: -1, lambda _: True):
        with pytest.raises(InvalidInputError, match="count_tokens"):
            within_tokens(texts, max_tokens=3, count_tokens=wrong)


def test_no_text_has_no_tokens() -> None:
    # Tokenizers add tokens of their own to each text.
    texts = ["abc", None, "d"]
    assert within_tokens(texts, max_tokens=8, count_tokens=lambda text: len(text) + 2) == [0, 1, 2]


@pytest.mark.parametrize("texts", ["abc", {"a": 1}, None, ["a", 5], [b"a"]])
def test_a_budget_is_for_a_list_of_texts(texts: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"texts(\[\d\])? must be a"):
        within_tokens(texts, max_tokens=2, count_tokens=len)
