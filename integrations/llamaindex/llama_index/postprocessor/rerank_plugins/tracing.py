"""The events of one reranking: whatever happens in between, what was started is ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher

from rerank_plugins.adapters.fallback import FallbackReason
from rerank_plugins.adapters.metadata import FALLBACK_KEY
from rerank_plugins.adapters.ranking import RankingOptions

__all__ = ["Outcome", "dispatcher", "traced"]

dispatcher = get_dispatcher(__name__)


@dataclass(slots=True, eq=False)
class Outcome:
    """What a reranking came to, filled in while it is traced.

    Attributes:
        nodes: The results.
        fallback: Why they are in retrieval order; None if they were reranked.
    """

    nodes: list[NodeWithScore] = field(default_factory=list)
    fallback: FallbackReason | None = None

    @property
    def marks(self) -> dict[str, str]:
        """What traces and metadata are told beside the nodes."""
        return {} if self.fallback is None else {FALLBACK_KEY: self.fallback}


@contextmanager
def traced(
    settings: RankingOptions, nodes: Sequence[NodeWithScore], query: QueryBundle, callback_manager: CallbackManager
) -> Iterator[Outcome]:
    """Report a reranking to both of LlamaIndex's tracing systems.

    ``top_n=None`` is reported as the number of nodes. Why nodes were not reranked is in the tags of the end event and
    in the callback's last payload. The manager is the one in place when the call began; engines may replace it.

    Yields:
        An empty outcome: what the block puts into it is reported.
    """
    limit, model, outcome = len(nodes) if settings.top_n is None else settings.top_n, settings.model, Outcome()
    started: dict[str, Any] = {
        EventPayload.NODES: list(nodes),
        EventPayload.MODEL_NAME: model,
        EventPayload.QUERY_STR: query.query_str,
        EventPayload.TOP_K: limit,
    }
    dispatcher.event(ReRankStartEvent(query=query, nodes=list(nodes), top_n=limit, model_name=model))
    try:
        with callback_manager.event(CBEventType.RERANKING, payload=started) as event:
            try:
                yield outcome
            except Exception as error:
                # The manager itself reports an exception object once, and one may reach many callers.
                event.on_end(payload={EventPayload.EXCEPTION: error})
                raise
            event.on_end(payload={EventPayload.NODES: outcome.nodes, **outcome.marks})
    finally:
        dispatcher.event(ReRankEndEvent(nodes=outcome.nodes, tags=dict(outcome.marks)))
