"""What comes back when scores do not: the retrieval order, marked as such, or the error."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any

import pytest
from llama_index.core.callbacks import EventPayload
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index.postprocessor.rerank_plugins.base import BaseRerankPostprocessor

from rerank_plugins.errors import DeadlineExceededError, OverloadedError
from rerank_plugins.testing import standstill
from rerank_plugins_testing.llamaindex.base import (
    QUERY,
    ConformanceBase,
    MakePostprocessor,
    snapshot,
    summary,
)
from rerank_plugins_testing.llamaindex.recording import recording

__all__ = ["DeadlineConformance"]

_ERRORS = {"deadline": DeadlineExceededError, "overloaded": OverloadedError}
_FALLBACK = "rerank_fallback"


class DeadlineConformance(ConformanceBase):
    """Deadlines and overload, on a model that stands still."""

    @pytest.fixture(params=["deadline", "overloaded"])
    def reason(self, request: pytest.FixtureRequest) -> str:
        """Return why there are no scores."""
        chosen: str = request.param
        return chosen

    @pytest.fixture
    def limits(self, reason: str) -> dict[str, Any]:
        """Return the option that leads to it; the deadline is there in any case, so that no test waits for ever."""
        return {"deadline_s": 0.02} if reason == "deadline" else {"deadline_s": 30.0, "max_waiting_tokens": 1}

    @pytest.fixture(params=[False, True], ids=["sync", "async"])
    def is_async(self, request: pytest.FixtureRequest) -> bool:
        """Return which of the two methods is called."""
        chosen: bool = request.param
        return chosen

    def test_retrieval_order(
        self,
        make: MakePostprocessor,
        nodes: list[NodeWithScore],
        reason: str,
        limits: dict[str, Any],
        is_async: bool,  # noqa: FBT001
    ) -> None:
        """Copies of the first top_n as they came, each marked, the threshold not applied, the input not changed."""
        made, before = _made(make, top_n=3, threshold=0.999_999, **limits), snapshot(nodes)
        with standstill(made.reranker):
            results = _call(made, nodes, is_async=is_async)
        assert summary(results) == summary(nodes[:3])
        for one, given in zip(results, nodes, strict=False):
            assert one.metadata == {**given.metadata, "retrieval_score": given.score, _FALLBACK: reason}
            for mode in (MetadataMode.LLM, MetadataMode.EMBED, MetadataMode.NONE):
                assert one.get_content(mode) == given.get_content(mode)
            assert type(one.node).from_json(one.node.to_json()) == one.node
            one.node.metadata["added_later"] = True
            one.node.excluded_llm_metadata_keys.append("added_later")
        assert snapshot(nodes) == before

    def test_the_model_is_used_again_afterwards(
        self, make: MakePostprocessor, nodes: list[NodeWithScore], limits: dict[str, Any]
    ) -> None:
        """A fallback is of one call; reranking its results takes the mark off, and nothing of it is scored."""
        made = _made(make, top_n=None, metadata_mode=MetadataMode.ALL, **limits)
        with standstill(made.reranker):
            fallen = made.postprocess_nodes(nodes, query_str=QUERY)
        patient = made.with_settings(deadline_s=None)
        expected = patient.postprocess_nodes(nodes, query_str=QUERY)
        again = patient.postprocess_nodes(fallen, query_str=QUERY)
        assert summary(again) == summary(expected)
        assert [one.metadata for one in again] == [one.metadata for one in expected]
        bare = patient.with_settings(keep_details=False, keep_retrieval_score=False)
        assert all(_FALLBACK not in one.metadata for one in bare.postprocess_nodes(fallen, query_str=QUERY))

    def test_earlier_stages_are_kept(
        self, make: MakePostprocessor, nodes: list[NodeWithScore], limits: dict[str, Any]
    ) -> None:
        """The second stage of a cascade falls back to the first one's order, scores and details."""
        made = _made(make, top_n=None, **limits)
        first = made.with_settings(deadline_s=None).postprocess_nodes(nodes, query_str=QUERY)
        with standstill(made.reranker):
            second = made.postprocess_nodes(first, query_str=QUERY)
        assert summary(second) == summary(first)
        for one, other in zip(second, first, strict=True):
            assert {key: value for key, value in one.metadata.items() if key != _FALLBACK} == other.metadata

    def test_it_is_told(
        self,
        make: MakePostprocessor,
        nodes: list[NodeWithScore],
        reason: str,
        limits: dict[str, Any],
        is_async: bool,  # noqa: FBT001
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Events and callbacks end with the nodes and the reason; the log has a warning without anybody's text."""
        with recording() as seen, caplog.at_level(logging.WARNING):
            made = _made(make, callback_manager=seen.callback_manager, **limits)
            with standstill(made.reranker):
                results = _call(made, nodes, is_async=is_async)
        assert (seen.names, seen.phases) == (["ReRankStartEvent", "ReRankEndEvent"], ["start", "end"])
        assert seen.events[-1].tags[_FALLBACK] == reason
        assert seen.events[-1].nodes == results  # type: ignore[attr-defined]
        assert seen.callbacks[-1][1] == {EventPayload.NODES: results, _FALLBACK: reason}
        told = [record.getMessage() for record in caplog.records if f"({reason})" in record.getMessage()]
        assert len(told) == 1
        assert all(text not in told[0] for text in ("panda", "Paris", "France"))

    def test_the_error_on_request(
        self,
        make: MakePostprocessor,
        nodes: list[NodeWithScore],
        reason: str,
        limits: dict[str, Any],
        is_async: bool,  # noqa: FBT001
    ) -> None:
        """It reaches the caller, and the callback's end names it."""
        with recording() as seen:
            made = _made(make, callback_manager=seen.callback_manager, on_deadline="raise", **limits)
            with standstill(made.reranker), pytest.raises(_ERRORS[reason]) as caught:
                _call(made, nodes, is_async=is_async)
        assert (seen.names, seen.phases) == (["ReRankStartEvent", "ReRankEndEvent"], ["start", "end"])
        assert seen.callbacks[-1][1][EventPayload.EXCEPTION] is caught.value

    def test_nothing_changes_in_time(self, make: MakePostprocessor, nodes: list[NodeWithScore]) -> None:
        """A call that is in time, on a model that is free, gives what it gives without limits."""
        expected = make(top_n=None).postprocess_nodes(nodes, query_str=QUERY)
        made = make(top_n=None, deadline_s=60, max_waiting_tokens=1, max_wait_ms=1.0, max_batch_tokens=64)
        found = made.postprocess_nodes(nodes, query_str=QUERY)
        assert summary(found) == summary(expected)
        assert [set(one.metadata) for one in found] == [set(one.metadata) for one in expected]

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("deadline_s", 0),
            ("deadline_s", -1.0),
            ("deadline_s", math.inf),
            ("deadline_s", True),
            ("deadline_s", "soon"),
            ("on_deadline", "retrieval"),
            ("max_waiting_tokens", 0),
            ("max_wait_ms", -1.0),
            ("max_batch_tokens", 0),
        ],
    )
    def test_impossible_limits(self, make: MakePostprocessor, option: str, value: object) -> None:
        """They are refused when they are set."""
        with pytest.raises(ValueError, match=option):
            make(**{option: value})


def _made(make: MakePostprocessor, **options: Any) -> BaseRerankPostprocessor:
    made = make(**options)
    assert isinstance(made, BaseRerankPostprocessor)
    return made


def _call(made: BaseRerankPostprocessor, nodes: list[NodeWithScore], *, is_async: bool) -> list[NodeWithScore]:
    query = QueryBundle(QUERY)
    if is_async:
        return asyncio.run(made.apostprocess_nodes(nodes, query_bundle=query))
    return made.postprocess_nodes(nodes, query_bundle=query)
