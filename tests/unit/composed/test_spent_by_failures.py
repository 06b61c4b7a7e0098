"""What a chat model or a service had answered when its call failed is told: by the error, the record, the cascade."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from lengths import Numbers
from scripted_server import Answer, scripted_server

from rerank_plugins import Cascade, ChatScorer, Ensemble, RemoteScorer, Reranker
from rerank_plugins.calls.observing import CallRecord, add_observer
from rerank_plugins.chat import ChatAnswer, ChatLimits, ChatMessage, ChatOptions, ChatPrice, Pointwise, SimpleChatModel
from rerank_plugins.chat.model import ChatTokens
from rerank_plugins.errors import DeadlineExceededError, RemoteError, RerankPluginsError
from rerank_plugins.remote import HttpSettings, RemoteLimits, RemotePrice

TEXTS = ["1 quick", "2 quick", "3 slow"]


class Grading(SimpleChatModel):
    """Answers at once, but for a slow text late, and for a wrong one not at all."""

    name = "grading"

    def complete(self, messages: Sequence[ChatMessage], options: ChatOptions) -> ChatAnswer:
        if "wrong" in messages[-1].content:
            time.sleep(0.1)
            msg = "no such model"
            raise RemoteError(msg, status=404)
        if "slow" in messages[-1].content:
            time.sleep(0.8)
        return ChatAnswer(text="5", usage=ChatTokens(10, 1))


@pytest.fixture
def chat() -> ChatScorer:
    price = ChatPrice(prompt_per_million=1e5, answer_per_million=0.0)
    return ChatScorer(Grading(), method=Pointwise(answer="grade"), limits=ChatLimits(concurrency=4), price=price)


@pytest.fixture
def records() -> Iterator[list[CallRecord]]:
    found: list[CallRecord] = []
    remove = add_observer(found.append)
    yield found
    remove()


def ranked(reranker: Reranker, texts: Sequence[str], *, is_async: bool, **options: Any) -> Any:
    return asyncio.run(reranker.arank("q", texts, **options)) if is_async else reranker.rank("q", texts, **options)


@pytest.mark.parametrize("is_async", [False, True])
def test_an_error_tells_what_was_answered_before_it(
    chat: ChatScorer, records: list[CallRecord], is_async: bool
) -> None:
    with pytest.raises(DeadlineExceededError) as late:
        ranked(Reranker(backend=chat), TEXTS, is_async=is_async, deadline_s=0.4)
    spent = late.value.usage.chat
    assert (spent.calls, spent.prompt_tokens, spent.cost) == (2, 20, 2.0)
    assert pickle.loads(pickle.dumps(late.value)).usage == late.value.usage
    with pytest.raises(RemoteError) as refused:
        ranked(Reranker(backend=chat), ["1 quick", "2 wrong"], is_async=is_async)
    spent = refused.value.usage.chat
    assert (spent.calls, spent.failed_calls, spent.prompt_tokens) == (2, 1, 10)
    assert [record.usage for record in records] == [late.value.usage, refused.value.usage]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stage_that_fails_is_in_the_usage_of_the_cascade(chat: ChatScorer, is_async: bool) -> None:
    late = ranked(Cascade([Numbers(0), chat], budget_ms=400), TEXTS, is_async=is_async)
    assert [one.skipped for one in late.usage.stages] == ["", "late"]
    assert (late.usage.chat.calls, late.usage.chat.cost, late.usage.tokens) == (2, 2.0, 22)
    failed = ranked(Cascade([Numbers(0), chat]), ["1 quick", "2 wrong"], is_async=is_async)
    assert [one.skipped for one in failed.usage.stages] == ["", "failed: RemoteError"]
    assert (failed.usage.chat.calls, failed.usage.chat.failed_calls, failed.usage.chat.cost) == (2, 1, 1.0)


@pytest.mark.parametrize("is_async", [False, True])
def test_what_the_models_before_the_failing_one_took_counts_too(chat: ChatScorer, is_async: bool) -> None:
    broken = Numbers(0, error=ValueError("broken"))
    for made in (Ensemble([chat, broken]), Cascade([chat, Cascade([broken])])):
        if isinstance(made, Cascade):
            usage = ranked(made, ["1 quick", "2 quick"], is_async=is_async).usage
        else:
            with pytest.raises(RerankPluginsError) as failed:
                ranked(made, ["1 quick", "2 quick"], is_async=is_async)
            usage = failed.value.usage
        assert [one.skipped for one in usage.stages] == ["", "failed: ScoringError"]
        assert (usage.chat.calls, usage.chat.cost) == (2, 2.0)


@pytest.mark.parametrize("is_async", [False, True])
def test_requests_of_a_service_that_were_answered_are_told(is_async: bool) -> None:
    def answer(request: Any) -> Answer:
        documents = request.body["documents"]
        if "wrong" in documents[0]:
            time.sleep(0.2)
            return Answer({"message": "no"}, status=400)
        results = [{"index": n, "relevance_score": 0.5} for n in range(len(documents))]
        return Answer({"id": "1", "results": results, "meta": {"billed_units": {"search_units": 1}}})

    with scripted_server(answer) as server:
        service = RemoteScorer(
            "cohere",
            "m",
            base_url=server.url,
            limits=RemoteLimits(batch_items=1),
            http=HttpSettings(retries=0),
            price=RemotePrice(per_thousand_searches=2_000.0),
        )
        found = ranked(Cascade([Numbers(0), service]), ["3 a", "2 b", "1 wrong"], is_async=is_async)
    assert [one.skipped for one in found.usage.stages] == ["", "failed: RemoteError"]
    assert (found.usage.remote.requests, found.usage.remote.cost) == (2, 4.0)
