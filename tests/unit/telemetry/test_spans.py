"""Spans: one a call, stages below it, under the caller's own, and an error where there was one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_checkpoints

from rerank_plugins import Embedder, Reranker
from rerank_plugins.errors import DeadlineExceededError
from rerank_plugins.telemetry import trace_with_opentelemetry

sdk = pytest.importorskip("opentelemetry.sdk.trace")
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402

QUERY = "What do pandas eat?"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> Iterator[object]:
    provider = sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    stop = trace_with_opentelemetry(provider)
    yield provider
    stop()
    stop()


def test_a_call_and_its_stages(exporter: InMemorySpanExporter, provider: object, bert_reranker_folder: Path) -> None:
    reranker = Reranker(bert_reranker_folder, device="cpu")
    with provider.get_tracer("test").start_as_current_span("request"):  # type: ignore[attr-defined]
        ranking = reranker.rank(QUERY, tiny_checkpoints.SENTENCES)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {"request", "rerank", "tokenize", "queue", "forward"}
    call = spans["rerank"]
    assert call.parent.span_id == spans["request"].context.span_id
    for stage in ("tokenize", "queue", "forward"):
        assert spans[stage].parent.span_id == call.context.span_id
        assert call.start_time <= spans[stage].start_time <= spans[stage].end_time
    assert ranking.usage is not None
    assert call.attributes["rerank.tokens"] == ranking.usage.tokens
    assert call.attributes["rerank.inputs"] == len(tiny_checkpoints.SENTENCES)
    # Numbers and names only: no text of a user.
    values = [str(value) for span in spans.values() for value in span.attributes.values()]
    assert not any(text in value for value in values for text in (QUERY, *tiny_checkpoints.SENTENCES) if text)


def test_stages_follow_one_another_from_the_calls_start(
    exporter: InMemorySpanExporter, provider: object, bert_reranker_folder: Path
) -> None:
    ranking = Reranker(bert_reranker_folder, device="cpu").rank(QUERY, tiny_checkpoints.SENTENCES * 20)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    usage = ranking.usage
    assert usage is not None
    start = spans["rerank"].start_time
    for stage, took_ms in (("tokenize", usage.tokenize_ms), ("queue", usage.queue_ms), ("forward", usage.forward_ms)):
        assert took_ms > 0.0
        assert spans[stage].start_time == start
        assert spans[stage].end_time - start == round(took_ms * 1e6)
        start = spans[stage].end_time
    # The stages are parts of the call: the clocks of both may differ by little.
    assert start <= spans["rerank"].end_time + 5_000_000


def test_coroutines_and_embedders(exporter: InMemorySpanExporter, provider: object, tmp_path: Path) -> None:
    embedder = Embedder(tiny_checkpoints.bert_embedder(tmp_path / "embedder"), device="cpu")
    embedder.embed_documents(["a", "b"])
    asyncio.run(embedder.aembed_queries(["a"]))
    calls = [span for span in exporter.get_finished_spans() if span.name == "embed"]
    assert [span.attributes["rerank.inputs"] for span in calls] == [2, 1]


def test_an_error_is_on_the_span(exporter: InMemorySpanExporter, provider: object, bert_reranker_folder: Path) -> None:
    with pytest.raises(DeadlineExceededError):
        Reranker(bert_reranker_folder, device="cpu").rank(QUERY, tiny_checkpoints.SENTENCES * 200, deadline_s=1e-6)
    (span,) = exporter.get_finished_spans()
    assert span.attributes["error.type"] == "DeadlineExceededError"
    assert not span.status.is_ok


def test_nothing_is_recorded_after_the_end(exporter: InMemorySpanExporter, bert_reranker_folder: Path) -> None:
    provider = sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace_with_opentelemetry(provider)()
    Reranker(bert_reranker_folder, device="cpu").rank(QUERY, tiny_checkpoints.SENTENCES)
    assert not exporter.get_finished_spans()
