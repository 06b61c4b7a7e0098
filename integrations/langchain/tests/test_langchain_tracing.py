"""The rerank step in traces: names, tags, metadata, parents, and an end on every path."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, AsyncCallbackManager, CallbackManager
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langchain_rerank_plugins import BgeRerankCompressor
from rerank_plugins_testing.langchain import RunRecorder

from rerank_plugins import Reranker
from rerank_plugins.errors import ScoringError

QUERY = "What is the capital of France?"
DOCUMENTS = [Document("Paris is the capital of France.", id="paris"), Document("Berlin", id="berlin")]


@pytest.fixture
def compressor(langchain_models: dict[str, str]) -> BgeRerankCompressor:
    return BgeRerankCompressor(model=langchain_models["bert-reranker"], device="cpu", top_n=1)


def test_run_shows_what_went_in_and_out(compressor: BgeRerankCompressor) -> None:
    recorder = RunRecorder()
    result = compressor.compress_documents(DOCUMENTS, QUERY, callbacks=[recorder])
    start, end = recorder.events
    assert start.payload == {"query": QUERY, "documents": DOCUMENTS}
    assert end.payload == {"documents": result}
    assert start.details["name"] == "BgeRerankCompressor"
    assert start.tags == ["rerank"]
    assert start.details["metadata"] == {"rerank_model": compressor.model, "rerank_top_n": 1}


@pytest.mark.parametrize("manager_class", [CallbackManager, AsyncCallbackManager])
@pytest.mark.parametrize("is_async", [False, True])
def test_inherits_from_a_manager(compressor: BgeRerankCompressor, manager_class: Any, is_async: bool) -> None:
    recorder = RunRecorder()
    manager = manager_class.configure(
        inheritable_callbacks=[recorder], inheritable_tags=["mine"], inheritable_metadata={"user": 7}
    )
    if is_async:
        asyncio.run(compressor.acompress_documents(DOCUMENTS, QUERY, callbacks=manager))
    else:
        compressor.compress_documents(DOCUMENTS, QUERY, callbacks=manager)
    assert recorder.names == ["start", "end"]
    assert set(recorder.events[0].tags) == {"mine", "rerank"}
    assert recorder.events[0].details["metadata"]["user"] == 7


def test_scoring_error_ends_the_run(compressor: BgeRerankCompressor, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ScoringError("NaN")

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(Reranker, "rank", fail)
    recorder = RunRecorder()
    with pytest.raises(ScoringError):
        compressor.compress_documents(DOCUMENTS, QUERY, callbacks=[recorder])
    assert recorder.names == ["start", "error"]
    assert recorder.events[1].payload is error


async def test_cancelled_call_ends_its_run(compressor: BgeRerankCompressor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait_forever(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Reranker, "arank", wait_forever)
    recorder = RunRecorder()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(compressor.acompress_documents(DOCUMENTS, QUERY, callbacks=[recorder]), 0.05)
    assert recorder.names == ["start", "error"]


async def test_async_handlers_are_awaited(compressor: BgeRerankCompressor) -> None:
    class Slow(AsyncCallbackHandler):
        seen: list[str] = []  # noqa: RUF012

        async def on_chain_start(self, *_: Any, **__: Any) -> None:
            await asyncio.sleep(0)
            self.seen.append("start")

        async def on_chain_end(self, *_: Any, **__: Any) -> None:
            await asyncio.sleep(0)
            self.seen.append("end")

    await compressor.acompress_documents(DOCUMENTS, QUERY, callbacks=[Slow()])
    assert Slow.seen == ["start", "end"]


def test_seen_inside_a_runnable_without_passing_callbacks(compressor: BgeRerankCompressor) -> None:
    recorder = RunRecorder()
    step = RunnableLambda(lambda query: compressor.compress_documents(DOCUMENTS, query))
    step.invoke(QUERY, {"callbacks": [recorder], "tags": ["outer"]})
    assert recorder.names == ["start", "start", "end", "end"]
    outer, inner = recorder.events[:2]
    assert inner.parent_run_id == outer.run_id
    assert set(inner.tags) == {"outer", "rerank"}


async def test_seen_in_an_event_stream(compressor: BgeRerankCompressor) -> None:
    async def rerank(query: str) -> list[Document]:
        return await compressor.acompress_documents(DOCUMENTS, query)

    events = [
        event["event"]
        async for event in RunnableLambda(rerank).astream_events(QUERY, version="v2")
        if event["name"] == "BgeRerankCompressor"
    ]
    assert events == ["on_chain_start", "on_chain_end"]


def test_nothing_is_needed_without_callbacks(compressor: BgeRerankCompressor) -> None:
    assert [one.id for one in compressor.compress_documents(DOCUMENTS, QUERY, [])]
    assert [one.id for one in compressor.compress_documents(tuple(DOCUMENTS), QUERY, None)]
