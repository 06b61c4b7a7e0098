"""What a result carries, as values that JSON can hold."""

from __future__ import annotations

import json

import pytest

from rerank_plugins import RankedDocument, WindowSpan
from rerank_plugins.adapters import metadata
from rerank_plugins.adapters.metadata import details_of
from rerank_plugins.types import CallUsage, ChatUsage


@pytest.mark.parametrize("window", [None, WindowSpan(3, 9)])
def test_details(window: WindowSpan | None) -> None:
    ranked = RankedDocument(index=4, rank=2, score=1.5, probability=0.8, document="x", window=window, truncated=True)
    expected = {"rerank_probability": 0.8, "rerank_rank": 2, "rerank_truncated": True}
    assert details_of(ranked) == {**expected, **({} if window is None else {"rerank_window": [3, 9]})}
    assert json.loads(json.dumps(details_of(ranked))) == details_of(ranked)
    assert details_of(ranked).keys() <= set(metadata.DETAIL_KEYS)


def test_what_a_chat_model_was_asked() -> None:
    ranked = RankedDocument(index=0, rank=1, score=1.0, probability=1.0, document="x")
    took = {"tokenize_ms": 0.0, "queue_ms": 0.0, "forward_ms": 1.0, "inputs": 1, "tokens": 9, "reused_inputs": 0}
    plain = details_of(ranked, CallUsage(**took))  # type: ignore[arg-type]
    assert plain == details_of(ranked)
    asked = ChatUsage(calls=2, missing=1, cost=0.5)
    told = details_of(ranked, CallUsage(**took, chat=asked))  # type: ignore[arg-type]
    assert told.keys() - plain.keys() == {"rerank_chat"}
    assert ChatUsage(**told["rerank_chat"]) == asked
    assert json.loads(json.dumps(told)) == told
    assert told.keys() <= set(metadata.DETAIL_KEYS)
