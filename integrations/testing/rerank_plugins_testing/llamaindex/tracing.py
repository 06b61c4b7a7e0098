"""What is reported: every start has its end, on every path."""

from __future__ import annotations

import asyncio
from typing import Protocol

import pytest
from llama_index.core.callbacks import EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode

from rerank_plugins_testing.llamaindex.base import QUERY, ConformanceBase, MakePostprocessor
from rerank_plugins_testing.llamaindex.recording import recording

__all__ = ["TracingConformance"]

_PAIRED_EVENTS = ["ReRankStartEvent", "ReRankEndEvent"]
_PAIRED_CALLBACKS = ["start", "end"]


class _Call(Protocol):
    def __call__(
        self, made: BaseNodePostprocessor, nodes: list[NodeWithScore], *, query: str | None = QUERY
    ) -> list[NodeWithScore]: ...


def _bundle(query: str | None) -> QueryBundle | None:
    return None if query is None else QueryBundle(query, custom_embedding_strs=["not this"])


def _sync(made: BaseNodePostprocessor, nodes: list[NodeWithScore], *, query: str | None = QUERY) -> list[NodeWithScore]:
    return made.postprocess_nodes(nodes, query_bundle=_bundle(query))


def _async(
    made: BaseNodePostprocessor, nodes: list[NodeWithScore], *, query: str | None = QUERY
) -> list[NodeWithScore]:
    return asyncio.run(made.apostprocess_nodes(nodes, query_bundle=_bundle(query)))


class TracingConformance(ConformanceBase):
    """Instrumentation events and callbacks."""

    @pytest.fixture(params=[_sync, _async], ids=["sync", "async"])
    def call(self, request: pytest.FixtureRequest) -> _Call:
        """Return one of the two ways to call a postprocessor."""
        chosen: _Call = request.param
        return chosen

    def test_success_is_reported(self, make: MakePostprocessor, nodes: list[NodeWithScore], call: _Call) -> None:
        """The end carries the nodes that were returned; both systems get the query, model and top_n."""
        with recording() as seen:
            made = make(top_n=2, callback_manager=seen.callback_manager)
            results = call(made, nodes)
        assert seen.names == _PAIRED_EVENTS
        assert seen.phases == _PAIRED_CALLBACKS
        start, end = seen.events
        assert isinstance(start, ReRankStartEvent)
        assert isinstance(end, ReRankEndEvent)
        assert (str(start.query), start.top_n, len(start.nodes)) == (QUERY, 2, len(nodes))
        assert start.model_name
        assert end.nodes == results
        before, after = (payload for _, payload in seen.callbacks)
        assert before[EventPayload.QUERY_STR] == QUERY
        assert before[EventPayload.TOP_K] == 2
        assert before[EventPayload.MODEL_NAME] == start.model_name
        assert before[EventPayload.NODES] == nodes
        assert after[EventPayload.NODES] == results

    def test_empty_is_reported(self, make: MakePostprocessor, call: _Call) -> None:
        """No nodes: still a start and an end."""
        with recording() as seen:
            made = make(top_n=None, callback_manager=seen.callback_manager)
            assert call(made, []) == []
        assert seen.names == _PAIRED_EVENTS
        assert seen.phases == _PAIRED_CALLBACKS

    def test_error_is_reported(self, make: MakePostprocessor, nodes: list[NodeWithScore], call: _Call) -> None:
        """The error reaches the caller unchanged, the callback's end names it, and nothing stays open."""
        broken = [*nodes, NodeWithScore(node=_BrokenNode(text="x"), score=0.1)]
        with recording() as seen:
            made = make(callback_manager=seen.callback_manager)
            with pytest.raises(_BrokenNodeError) as caught:
                call(made, broken)
        assert seen.names == _PAIRED_EVENTS
        assert seen.phases == _PAIRED_CALLBACKS
        assert seen.callbacks[-1][1][EventPayload.EXCEPTION] is caught.value

    def test_missing_query_leaves_nothing_open(
        self, make: MakePostprocessor, nodes: list[NodeWithScore], call: _Call
    ) -> None:
        """Either nothing is reported, or a start with its end."""
        with recording() as seen:
            made = make(callback_manager=seen.callback_manager)
            with pytest.raises(ValueError, match="query"):
                call(made, nodes, query=None)
        assert seen.names in ([], _PAIRED_EVENTS)
        assert seen.phases in ([], _PAIRED_CALLBACKS)

    def test_engines_may_replace_the_callback_manager(
        self, make: MakePostprocessor, nodes: list[NodeWithScore], call: _Call
    ) -> None:
        """Query and chat engines assign theirs after construction."""
        made = make()
        with recording() as seen:
            made.callback_manager = seen.callback_manager
            call(made, nodes)
        assert seen.phases == _PAIRED_CALLBACKS


class _BrokenNodeError(RuntimeError):
    """Raised on purpose."""


class _BrokenNode(TextNode):
    """A node whose text cannot be read."""

    def get_content(self, metadata_mode: MetadataMode = MetadataMode.NONE) -> str:
        """Fail.

        Raises:
            _BrokenNodeError: Always.
        """
        msg = "this node cannot be read"
        raise _BrokenNodeError(msg)
