"""The events of one reranking: whatever happens in between, what was started is ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher

__all__ = ["dispatcher", "traced"]

dispatcher = get_dispatcher(__name__)


@contextmanager
def traced(
    nodes: Sequence[NodeWithScore],
    query: QueryBundle,
    *,
    top_n: int | None,
    model_name: str,
    callback_manager: CallbackManager,
) -> Iterator[list[NodeWithScore]]:
    """Report a reranking to both of LlamaIndex's tracing systems.

    Args:
        nodes: What is reranked.
        query: For which query.
        top_n: Nodes returned at most; None is reported as the number of nodes.
        model_name: Shown in traces.
        callback_manager: The one in place when the call began; engines may replace it meanwhile.

    Yields:
        An empty list: what the block puts into it is reported as the result.
    """
    limit = len(nodes) if top_n is None else top_n
    results: list[NodeWithScore] = []
    started: dict[str, Any] = {
        EventPayload.NODES: list(nodes),
        EventPayload.MODEL_NAME: model_name,
        EventPayload.QUERY_STR: query.query_str,
        EventPayload.TOP_K: limit,
    }
    dispatcher.event(ReRankStartEvent(query=query, nodes=list(nodes), top_n=limit, model_name=model_name))
    try:
        with callback_manager.event(CBEventType.RERANKING, payload=started) as event:
            try:
                yield results
            except Exception as error:
                # The manager itself reports an exception object once, and one may reach many callers.
                event.on_end(payload={EventPayload.EXCEPTION: error})
                raise
            event.on_end(payload={EventPayload.NODES: results})
    finally:
        dispatcher.event(ReRankEndEvent(nodes=results))
