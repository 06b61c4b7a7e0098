"""A compressor as a step of a chain: a Runnable in its own right, awaited where the chain is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import langchain_rerank_plugins as package
import pytest
from langchain_core.documents import Document
from langchain_core.runnables import (
    Runnable,
    RunnableBranch,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
    RunnableSequence,
)
from langchain_rerank_plugins import BaseRerankCompressor, RerankCompressor
from pydantic import ValidationError
from rerank_plugins_testing.langchain import RunRecorder

from rerank_plugins import Reranker
from rerank_plugins.errors import InvalidInputError

QUERY = "What is the capital of France?"
DOCUMENTS = [Document("The Spree flows through Berlin."), Document("Paris is the capital of France."), Document("Rome")]
INPUT = {"documents": DOCUMENTS, "query": QUERY}
STEP = {"documents": RunnableLambda(lambda _: DOCUMENTS), "query": RunnablePassthrough()}

CHAINS: dict[str, Callable[[Any], Runnable[Any, Any]]] = {
    "dict": lambda step: STEP | step,
    "RunnableParallel": lambda step: RunnableParallel(STEP) | step,
    "pipe": lambda step: RunnableParallel(STEP).pipe(step),
    "RunnableSequence": lambda step: RunnableSequence(RunnableParallel(STEP), step),
    "behind a sequence": lambda step: RunnablePassthrough() | STEP | step,
    "in front": lambda step: STEP | (step | list),
    "in a dict": lambda step: RunnableParallel(STEP) | {"found": step} | (lambda found: found["found"]),
    "assign": lambda step: (
        RunnableParallel(STEP) | RunnablePassthrough.assign(documents=step) | (lambda found: found["documents"])
    ),
    "branch": lambda step: RunnableParallel(STEP) | RunnableBranch((lambda _: True, step), lambda _: []),
    "chosen by a function": lambda step: RunnableParallel(STEP) | RunnableLambda(lambda _: step),
    "with_retry": lambda step: RunnableParallel(STEP) | step.with_retry(),
    "with_config": lambda step: RunnableParallel(STEP) | step.with_config(tags=["mine"]),
}


@pytest.fixture
def compressor(langchain_models: dict[str, str]) -> RerankCompressor:
    return RerankCompressor(model=langchain_models["bert-reranker"], device="cpu", top_n=2)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Which of the core's methods ranked, and in which thread."""
    seen: list[tuple[str, int]] = []
    rank, arank = Reranker.rank, Reranker.arank

    def told(self: Reranker, *args: Any, **options: Any) -> Any:
        seen.append(("rank", threading.get_ident()))
        return rank(self, *args, **options)

    async def atold(self: Reranker, *args: Any, **options: Any) -> Any:
        seen.append(("arank", threading.get_ident()))
        return await arank(self, *args, **options)

    monkeypatch.setattr(Reranker, "rank", told)
    monkeypatch.setattr(Reranker, "arank", atold)
    return seen


@pytest.mark.parametrize("chain", CHAINS)
async def test_every_chain_that_is_awaited_awaits_the_model(
    compressor: RerankCompressor, called: list[tuple[str, int]], chain: str
) -> None:
    made = CHAINS[chain](compressor)
    expected = compressor.compress_documents(DOCUMENTS, QUERY)
    assert made.invoke(QUERY) == expected
    assert [name for name, _ in called] == ["rank", "rank"]
    called.clear()
    assert await made.ainvoke(QUERY) == expected
    assert await made.abatch([QUERY, QUERY]) == [expected, expected]
    assert called == [("arank", threading.get_ident())] * 3


async def test_batches_keep_the_errors_of_single_inputs(compressor: RerankCompressor) -> None:
    good = compressor.compress_documents(DOCUMENTS, QUERY)
    inputs: list[Any] = [INPUT, {**INPUT, "query": 3}, {"documents": []}, INPUT]
    for found in (
        compressor.batch(inputs, return_exceptions=True),
        await compressor.abatch(inputs, return_exceptions=True),
    ):
        assert [one if isinstance(one, list) else type(one) for one in found] == [
            good,
            InvalidInputError,
            InvalidInputError,
            good,
        ]
    with pytest.raises(InvalidInputError):
        compressor.batch(inputs)


async def test_fallbacks_of_a_compressor(compressor: RerankCompressor, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = RerankCompressor(model="mini")
    closed.close()
    step = closed.with_fallbacks([compressor])
    expected = compressor.compress_documents(DOCUMENTS, QUERY)
    assert step.invoke(INPUT) == await step.ainvoke(INPUT) == expected


async def test_settings_of_a_step_are_bound(compressor: RerankCompressor) -> None:
    bound = compressor.bind(top_n=1, score_unit="probability")
    for found in (bound.invoke(INPUT), await bound.ainvoke(INPUT), (STEP | bound).invoke(QUERY)):
        (one,) = found
        assert one.metadata["relevance_score"] == one.metadata["rerank_probability"]
    with compressor.using(top_n=3, score_unit="probability"):
        assert len(compressor.bind(top_n=1).invoke(INPUT)) == 1
        assert [len(one) for one in compressor.batch([INPUT, INPUT])] == [3, 3]
        assert len(await compressor.bind(score_unit="raw").ainvoke(INPUT)) == 3
    short = compressor.bind(max_length=8)
    expected = compressor.with_settings(max_length=8).compress_documents(DOCUMENTS, QUERY)
    assert short.invoke(INPUT) == await short.ainvoke(INPUT) == expected
    assert any(one.metadata["rerank_truncated"] for one in expected)
    assert compressor.top_n == 2
    for wrong in ({"top": 1}, {"top_n": 0}):
        with pytest.raises((ValidationError, InvalidInputError)):
            compressor.invoke(INPUT, **wrong)


async def test_a_step_is_one_run_with_what_its_config_says(compressor: RerankCompressor) -> None:
    chain = RunnableParallel(STEP) | compressor.with_config(run_name="mine", tags=["own"], metadata={"user": 7})
    for is_async in (False, True):
        recorder = RunRecorder()
        config: Any = {"callbacks": [recorder], "tags": ["outer"]}
        found = await chain.ainvoke(QUERY, config) if is_async else chain.invoke(QUERY, config)
        starts = {one.details["name"]: one for one in recorder.events if one.name == "start"}
        (end,) = [one for one in recorder.events if one.payload == {"documents": found}]
        mine = starts["mine"]
        assert "RerankCompressor" not in starts
        assert (mine.run_id, mine.parent_run_id) == (end.run_id, starts["RunnableSequence"].run_id)
        assert set(mine.tags) >= {"own", "outer", "rerank"}
        assert mine.details["metadata"].items() >= {"user": 7, "rerank_model": compressor.model}.items()
    events = [event async for event in compressor.astream_events(INPUT, version="v2")]
    assert [event["event"] for event in events] == ["on_chain_start", "on_chain_end"]
    assert events[-1]["data"]["output"] == {"documents": compressor.invoke(INPUT)}


async def test_a_stream_has_the_documents_at_once(compressor: RerankCompressor) -> None:
    expected = compressor.compress_documents(DOCUMENTS, QUERY)
    chain = RunnableParallel(STEP) | compressor
    assert list(chain.stream(QUERY)) == [expected]
    assert [one async for one in chain.astream(QUERY)] == [expected]


def test_runnables_know_what_every_class_takes() -> None:
    for name in package.__all__:
        kind = getattr(package, name)
        if issubclass(kind, BaseRerankCompressor):
            assert issubclass(kind, Runnable)
            assert "name" not in kind.model_fields
            assert kind.__new__(kind).get_name() == name
            schema = kind.__new__(kind).get_input_jsonschema()
            assert set(schema["$defs"]["RerankInput"]["properties"]) == {"documents", "query"}
            assert kind.__new__(kind).get_output_jsonschema()["type"] == "array"
