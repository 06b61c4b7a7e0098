"""Aggregation of windows, by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.ranking.aggregate import aggregate_windows
from rerank_plugins.types import LongDocuments

SCORES = [1.0, 4.0, -2.0, 4.0]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("maxp", (4.0, 1)),  # of equal windows the first wins
        ("firstp", (1.0, 0)),
        ("truncate", (1.0, 0)),
        ("meanp", (1.75, None)),  # (1 + 4 - 2 + 4) / 4
        ("topkmean", (3.0, None)),  # (4 + 4 + 1) / 3
    ],
)
def test_by_hand(strategy: str, expected: tuple[float, int | None]) -> None:
    assert aggregate_windows(SCORES, LongDocuments(strategy=strategy, top_k=3)) == expected


def test_top_k_larger_than_the_windows_is_the_mean() -> None:
    assert aggregate_windows(SCORES, LongDocuments(strategy="topkmean", top_k=9)) == (1.75, None)


@given(
    scores=st.lists(st.floats(-50, 50), min_size=1, max_size=20),
    strategy=st.sampled_from(["maxp", "firstp", "meanp", "topkmean"]),
)
def test_the_aggregate_lies_between_the_extremes(scores: list[float], strategy: str) -> None:
    value, winner = aggregate_windows(scores, LongDocuments(strategy=strategy))
    assert min(scores) - 1e-9 <= value <= max(scores) + 1e-9
    if winner is not None:
        assert scores[winner] == value
