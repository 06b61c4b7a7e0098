"""Calls that are not in time: a reason and a log line, or the error."""

from __future__ import annotations

import pytest

from rerank_plugins.adapters.fallback import fall_back
from rerank_plugins.errors import DeadlineExceededError, OverloadedError, RemoteUnavailableError


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


def test_the_log_has_no_words_of_a_service(caplog: pytest.LogCaptureFixture) -> None:
    # A service that repeats in its error what it was asked.
    told = RemoteUnavailableError("host answered with HTTP 503: cannot process 'my salary'", status=503)
    busy = RemoteUnavailableError("host answered with HTTP 429: 'my salary' waits", status=429)
    silent = RemoteUnavailableError("host did not answer and is left alone for 3.0 s more; nothing was sent")
    reasons = [fall_back(one, on_deadline="retrieval_order", n_documents=7) for one in (told, busy, silent)]
    assert reasons == ["unavailable", "overloaded", "unavailable"]
    assert [record.getMessage().partition("): ")[2] for record in caplog.records] == [
        "RemoteUnavailableError, HTTP 503",
        "RemoteUnavailableError, HTTP 429",
        "host did not answer and is left alone for 3.0 s more; nothing was sent",
    ]
