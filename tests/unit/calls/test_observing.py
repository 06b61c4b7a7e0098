"""Observers: called for each call, never at its cost."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import colbert_checkpoints
import embedder_checkpoints
import pytest
import tiny_checkpoints
from llm_checkpoints import llm_checkpoint

from rerank_plugins import Embedder, EngineOptions, Reranker, SourceOptions, TokenVectorStore
from rerank_plugins.calls.observing import CallRecord, add_observer
from rerank_plugins.errors import DeadlineExceededError, InvalidInputError
from rerank_plugins.protocols import Batch
from rerank_plugins.testing import standstill


def test_records_until_removed(bert_reranker_folder: Path) -> None:
    records: list[CallRecord] = []
    remove = add_observer(records.append)
    reranker = Reranker(bert_reranker_folder, device="cpu")
    reranker.score([("a", "b")])
    remove()
    remove()
    reranker.score([("a", "b")])
    (record,) = records
    assert (record.operation, record.model, record.device) == ("rerank", reranker.spec.id, "cpu")
    assert record.started_ns <= record.ended_ns
    assert record.usage is not None
    assert record.error is None


def test_an_observer_that_was_added_twice_is_removed_once_by_each_function(bert_reranker_folder: Path) -> None:
    records: list[CallRecord] = []
    remove, remove_other = add_observer(records.append), add_observer(records.append)
    remove()
    remove()
    Reranker(bert_reranker_folder, device="cpu").score([("a", "b")])
    remove_other()
    assert len(records) == 1


def test_a_broken_observer_costs_no_result(bert_reranker_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_record: CallRecord) -> None:
        msg = "exporter is gone"
        raise RuntimeError(msg)

    remove = add_observer(broken)
    with caplog.at_level(logging.ERROR, logger="rerank_plugins"):
        assert len(Reranker(bert_reranker_folder, device="cpu").score([("a", "b")])) == 1
    remove()
    assert "an observer of rerank_plugins failed" in caplog.text


PAIRS = [("capital of France", "Paris is the capital."), ("capital of France", "Berlin is in Germany.")]
TEXTS = ["Paris is the capital.", "Berlin is in Germany.", "Cats purr " * 30]


@pytest.fixture
def records() -> Iterator[list[CallRecord]]:
    found: list[CallRecord] = []
    remove = add_observer(found.append)
    yield found
    remove()


@pytest.fixture(scope="module")
def reranker() -> Iterator[Reranker]:
    with Reranker(llm_checkpoint("tiny-minicpm-layerwise"), device="cpu") as opened:
        yield opened


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedder]:
    folder = embedder_checkpoints.bge_m3(tmp_path_factory.mktemp("m3") / "m3", pickled=False)
    with Embedder(folder, device="cpu", source=SourceOptions(family="bge")) as opened:
        yield opened


RERANKER_CALLS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "score": ({"pairs": PAIRS}, [2]),
    "ascore": ({"pairs": PAIRS}, [2]),
    "score_layers": ({"pairs": PAIRS}, [2]),
    "ascore_layers": ({"pairs": PAIRS}, [2]),
    "score_stream": ({"pairs": iter(PAIRS * 3), "chunk_pairs": 2}, [6]),
    "rank": ({"query": "capital", "documents": TEXTS}, [3]),
    "arank": ({"query": "capital", "documents": TEXTS}, [3]),
    "explain": ({"query": "capital", "document": "Paris is big"}, [1, 4]),
    "aexplain": ({"query": "capital", "document": "Paris is big"}, [1, 4]),
}
EMBEDDER_CALLS: dict[str, tuple[dict[str, Any], list[int]]] = {
    **{
        f"{prefix}{verb}_{what}": ({what: TEXTS}, [3])
        for prefix in ("", "a")
        for verb in ("embed", "encode")
        for what in ("queries", "documents")
    },
    "score_pairs": ({"pairs": [PAIRS[0], ("Where is Berlin?", PAIRS[1][1])]}, [2, 2]),
    "ascore_pairs": ({"pairs": [PAIRS[0], ("Where is Berlin?", PAIRS[1][1])]}, [2, 2]),
}

OF_SOME_MODELS: dict[type, dict[str, tuple[dict[str, Any], list[int]]]] = {
    Reranker: {
        f"{prefix}keep_vectors": ({"documents": [*TEXTS, TEXTS[0]], "block_documents": 2}, [2, 1])
        for prefix in ("", "a")
    },
    Embedder: {f"{prefix}encode_chunks": ({"documents": TEXTS[:2]}, [2]) for prefix in ("", "a")},
}
STORED_CALLS = ("stored_vectors", "astored_vectors")


def test_no_call_is_forgotten() -> None:
    # Methods that send nothing through the model.
    silent = {"close", "probability", "stats", "query_cache_statistics", "from_loaded", "vectors_key"}
    silent |= {"truncated_queries", "truncated_documents"}
    for owner, calls in ((Reranker, RERANKER_CALLS), (Embedder, EMBEDDER_CALLS)):
        methods = {name for name in dir(owner) if not name.startswith("_") and callable(getattr(owner, name))}
        stored = STORED_CALLS if owner is Embedder else ()
        assert methods - silent == {*calls, *OF_SOME_MODELS[owner], *stored}


async def run(call: Callable[..., Any], arguments: dict[str, Any]) -> None:
    result = call(**arguments)
    if isinstance(result, Iterator):
        list(result)
    elif inspect.isawaitable(result):
        await result


@pytest.mark.parametrize("name", RERANKER_CALLS)
async def test_every_call_of_a_reranker_has_its_record(
    reranker: Reranker, records: list[CallRecord], name: str
) -> None:
    arguments, inputs = RERANKER_CALLS[name]
    await run(getattr(reranker, name), arguments)
    check(records, operation="rerank", model=reranker.spec.id, inputs=inputs, is_stream=name == "score_stream")


@pytest.mark.parametrize("name", EMBEDDER_CALLS)
async def test_every_call_of_an_embedder_has_its_record(
    embedder: Embedder, records: list[CallRecord], name: str
) -> None:
    arguments, inputs = EMBEDDER_CALLS[name]
    before = embedder.stats()
    await run(getattr(embedder, name), arguments)
    check(records, operation="embed", model=embedder.spec.id, inputs=inputs)
    after = embedder.stats()
    usages = [record.usage for record in records if record.usage is not None]
    assert sum(usage.tokens for usage in usages) == after.tokens - before.tokens
    assert sum(usage.reused_inputs for usage in usages) == after.inputs_reused - before.inputs_reused


@pytest.mark.parametrize("name", OF_SOME_MODELS[Embedder])
async def test_chunks_have_their_record(tmp_path: Path, records: list[CallRecord], name: str) -> None:
    folder = tiny_checkpoints.bert_embedder(tmp_path / "mean", pooling="mean")
    arguments, inputs = OF_SOME_MODELS[Embedder][name]
    with Embedder(folder, device="cpu") as embedder:
        await run(getattr(embedder, name), arguments)
        check(records, operation="embed", model=embedder.spec.id, inputs=inputs)


@pytest.mark.parametrize("name", sorted(OF_SOME_MODELS[Reranker]))
async def test_kept_vectors_have_a_record_for_each_block(tmp_path: Path, records: list[CallRecord], name: str) -> None:
    arguments, inputs = OF_SOME_MODELS[Reranker][name]
    store = TokenVectorStore(tmp_path / "vectors")
    with Reranker(colbert_checkpoints.stanford(tmp_path / "model"), device="cpu", cache=store) as reranker:
        await run(getattr(reranker, name), arguments)
        check(records, operation="embed", model=reranker.spec.id, inputs=inputs)
        await run(getattr(reranker, name), arguments)
    assert len(records) == len(inputs)


@pytest.mark.parametrize("name", STORED_CALLS)
async def test_vectors_that_are_made_for_a_store_have_a_record(
    tmp_path: Path, records: list[CallRecord], name: str
) -> None:
    store = TokenVectorStore(tmp_path / "vectors")
    with Embedder(colbert_checkpoints.stanford(tmp_path / "model"), device="cpu") as embedder:
        await run(getattr(embedder, name), {"documents": [*TEXTS, TEXTS[0]], "store": store})
        check(records, operation="embed", model=embedder.spec.id, inputs=[3])
        await run(getattr(embedder, name), {"documents": TEXTS, "store": store})
    assert len(records) == 1


def check(records: list[CallRecord], *, operation: str, model: str, inputs: list[int], is_stream: bool = False) -> None:
    assert [(record.operation, record.model, record.error) for record in records] == [(operation, model, None)] * len(
        inputs
    )
    usages = [record.usage for record in records if record.usage is not None]
    assert [usage.inputs for usage in usages] == inputs
    for record, usage in zip(records, usages, strict=True):
        assert usage.tokens > usage.inputs
        assert usage.tokenize_ms + usage.queue_ms + usage.forward_ms > 0.0
        assert usage.forward_ms > 0.0
        # Stages follow each other within the call, but that a stream makes the ids of its next pairs while its first
        # ones wait; clocks differ by a little.
        lasted_ms = max(usage.tokenize_ms, usage.queue_ms) if is_stream else usage.tokenize_ms + usage.queue_ms
        assert lasted_ms <= (record.ended_ns - record.started_ns) / 1e6 + 1.0


def test_a_stream_that_is_given_up_has_its_record(reranker: Reranker, records: list[CallRecord]) -> None:
    stream = reranker.score_stream(iter(PAIRS * 50), chunk_pairs=4)
    next(stream)
    assert records == []
    stream.close()  # type: ignore[attr-defined]
    assert [(record.error, record.usage) for record in records] == [("GeneratorExit", None)]


def test_a_wrong_pair_in_a_stream_has_its_record(reranker: Reranker, records: list[CallRecord]) -> None:
    with pytest.raises(InvalidInputError, match=r"pairs\[2\]"):
        list(reranker.score_stream(iter([*PAIRS, 5]), chunk_pairs=1))  # type: ignore[list-item]
    assert [record.error for record in records] == ["InvalidInputError"]


@pytest.mark.parametrize("name", ["ascore", "arank", "ascore_layers"])
async def test_a_cancelled_call_has_its_record(reranker: Reranker, records: list[CallRecord], name: str) -> None:
    arguments = RERANKER_CALLS[name][0]
    with standstill(reranker):
        task = asyncio.create_task(getattr(reranker, name)(**arguments))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [record.error for record in records] == ["CancelledError"]


@pytest.mark.parametrize("name", ["aembed_queries", "aencode_queries", "aencode_documents"])
async def test_a_cancelled_embedding_drops_its_work(embedder: Embedder, records: list[CallRecord], name: str) -> None:
    go_on = threading.Event()
    (scorer,) = embedder._lease.value.batcher._scorers
    forward = scorer.forward

    def held(batch: Batch) -> object:
        go_on.wait(30.0)
        return forward(batch)

    vars(scorer)["forward"] = held
    try:
        blocker = asyncio.create_task(embedder.aembed_documents(["in front"]))
        await asyncio.sleep(0.1)
        before = embedder.stats()
        task = asyncio.create_task(getattr(embedder, name)(TEXTS))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        await blocker
    finally:
        go_on.set()
        del vars(scorer)["forward"]
    assert [record.error for record in records] == ["CancelledError", None]
    after = embedder.stats()
    # Texts of different lengths are several calls to the engine where there are vectors of several kinds.
    n_calls = after.calls - before.calls
    assert n_calls > 1 if name.startswith("aencode") else n_calls == 1
    assert after.calls_cancelled - before.calls_cancelled == n_calls


@pytest.mark.parametrize("name", ["embed_queries", "encode_queries"])
def test_a_missed_deadline_has_its_record(embedder: Embedder, records: list[CallRecord], name: str) -> None:
    late = Embedder(
        embedder.model, device="cpu", engine=EngineOptions(deadline_s=1e-9), source=SourceOptions(family="bge")
    )
    with pytest.raises(DeadlineExceededError):
        getattr(late, name)(TEXTS)
    assert [(record.error, record.usage) for record in records] == [("DeadlineExceededError", None)]
