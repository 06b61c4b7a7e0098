"""Calls that are not in time: a reason and a log line, or the error."""

from __future__ import annotations

import pytest

from rerank_plugins.adapters.fallback import fall_back
from rerank_plugins.errors import DeadlineExceededError, OverloadedError


def test_why_documents_keep_their_order(caplog: pytest.LogCaptureFixture) -> None:
    late, busy = DeadlineExceededError("0.1 s"), OverloadedError("9 tokens wait")
    assert fall_back(late, on_deadline="retrieval_order", n_documents=7) == "deadline"
    assert fall_back(busy, on_deadline="retrieval_order", n_documents=7) == "overloaded"
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "7 documents were not reranked and keep their retrieval order (deadline): 0.1 s",
        "7 documents were not reranked and keep their retrieval order (overloaded): 9 tokens wait",
    ]
    for error in (late, busy):
        with pytest.raises(type(error)) as caught:
            fall_back(error, on_deadline="raise", n_documents=7)
        assert caught.value is error
