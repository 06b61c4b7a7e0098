"""What a result carries, as values that JSON can hold."""

from __future__ import annotations

import json

import pytest

from rerank_plugins import RankedDocument, WindowSpan
from rerank_plugins.adapters import metadata
from rerank_plugins.adapters.metadata import details_of


@pytest.mark.parametrize("window", [None, WindowSpan(3, 9)])
def test_details(window: WindowSpan | None) -> None:
    ranked = RankedDocument(index=4, rank=2, score=1.5, probability=0.8, document="x", window=window, truncated=True)
    expected = {"rerank_probability": 0.8, "rerank_rank": 2, "rerank_truncated": True}
    assert details_of(ranked) == {**expected, **({} if window is None else {"rerank_window": [3, 9]})}
    assert json.loads(json.dumps(details_of(ranked))) == details_of(ranked)
    assert details_of(ranked).keys() <= set(metadata.DETAIL_KEYS)
