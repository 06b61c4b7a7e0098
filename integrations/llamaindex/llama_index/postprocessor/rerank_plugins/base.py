"""Node postprocessors that rerank: text out, scores back, on copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from llama_index.core.bridge.pydantic import Field
from llama_index.core.callbacks import CallbackManager
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, EnumNameSerializer, MetadataMode, NodeWithScore, QueryBundle
from llama_index.postprocessor.rerank_plugins.options import ComponentOptions
from llama_index.postprocessor.rerank_plugins.results import marked_copy, scored_copy, scored_text
from llama_index.postprocessor.rerank_plugins.tracing import Outcome, dispatcher, traced
from typing_extensions import Self, Unpack, override

from rerank_plugins.adapters.checks import check_list
from rerank_plugins.adapters.fields import Flag, Name, option
from rerank_plugins.adapters.metadata import details_of
from rerank_plugins.adapters.ranking import Ranked, RankingOptions, RankingSettings
from rerank_plugins.adapters.reranking import AnyRerankerOptions
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker

__all__ = ["BaseRerankPostprocessor", "RerankPostprocessor", "RerankSettings"]


class RerankSettings(RankingSettings, total=False):
    """Settings of a postprocessor that do not decide how its model is loaded; a class has those that fit its model."""

    metadata_mode: MetadataMode
    keep_retrieval_score: bool
    keep_details: bool
    callback_manager: CallbackManager


class BaseRerankPostprocessor(ComponentOptions, RankingOptions, BaseNodePostprocessor):
    """What all reranking postprocessors do; :class:`RerankPostprocessor` is the one that takes any model.

    Results are new objects; the nodes that came in, their scores and metadata are not changed. A result's ``score`` is
    a Python float. Its node is a copy with the metadata keys of :mod:`rerank_plugins.adapters.metadata`, which are left
    out of the text for LLMs and embedding models; ``rerank_window`` counts the characters of :meth:`scored_text`.

    A copy keeps its id, relationships and type. A text node's ``hash`` covers its metadata; set
    ``keep_retrieval_score`` and ``keep_details`` to False to get the very same nodes back. What becomes of a call that
    is not in time: :class:`~rerank_plugins.adapters.ranking.RankingOptions`.

    One call with other settings: ``reranker.with_settings(top_n=3).postprocess_nodes(...)``, or, where an engine makes
    the call, ``with reranker.using(top_n=3): engine.query(...)``.
    """

    _any_model: ClassVar[str] = "RerankPostprocessor"

    metadata_mode: Annotated[MetadataMode, EnumNameSerializer] = Field(
        default=MetadataMode.EMBED, description="Which metadata is part of the text that is scored."
    )
    keep_retrieval_score: Flag = Field(
        default=True, description="Keep the score that a node came with as metadata 'retrieval_score'."
    )
    keep_details: Flag = Field(
        default=True, description="Keep probability, rank, window and truncation as metadata 'rerank_*'."
    )

    @classmethod
    @override
    def from_reranker(cls, reranker: Reranker, **settings: Unpack[RerankSettings]) -> Self:
        return cls._around_reranker(reranker, settings)

    def scored_text(self, node: BaseNode) -> str:
        """Return the text of a node that the model sees; ``rerank_window`` counts its characters."""
        return scored_text(node, self.metadata_mode)

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query, settings = _checked(query_bundle, nodes), self._in_effect()
        with traced(settings, nodes, query, self._callbacks(settings)) as outcome:
            texts, read = settings._texts(nodes), settings._read_texts(nodes)
            settings._fill(outcome, nodes, settings._rank(query.query_str, texts, read_texts=read))
        return outcome.nodes

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query, settings = _checked(query_bundle, nodes), self._in_effect()
        with traced(settings, nodes, query, self._callbacks(settings)) as outcome:
            texts, read = settings._texts(nodes), settings._read_texts(nodes)
            settings._fill(outcome, nodes, await settings._arank(query.query_str, texts, read_texts=read))
        return outcome.nodes

    def _callbacks(self, settings: Self) -> CallbackManager:
        # Engines put their own manager into the object that they hold, in a block too.
        return (settings if "callback_manager" in settings._named_by_blocks else self).callback_manager

    def _texts(self, nodes: Sequence[NodeWithScore]) -> list[str]:
        return [self.scored_text(one.node) for one in nodes]

    def _read_texts(self, nodes: Sequence[NodeWithScore]) -> list[str] | None:
        """Return what a language model gets of each node, whose tokens a budget counts; None without a budget."""
        if self.after is None or self.after.max_tokens is None:
            return None
        return [scored_text(one.node, MetadataMode.LLM) for one in nodes]

    def _fill(self, outcome: Outcome, nodes: Sequence[NodeWithScore], ranked: Ranked) -> None:
        keep = self.keep_retrieval_score
        if isinstance(ranked, str):
            outcome.fallback = ranked
            outcome.nodes = [marked_copy(one, outcome.marks, keep_score=keep) for one in nodes[: self.top_n]]
            return
        for one in ranked:
            details = details_of(one, ranked.usage) if self.keep_details else {}
            outcome.nodes.append(scored_copy(nodes[one.index], self._score_of(one), details, keep_score=keep))


class RerankPostprocessor(AnyRerankerOptions, BaseRerankPostprocessor):
    """Reranks nodes with any reranking model that the core can run; see :class:`BaseRerankPostprocessor`.

    Example:
        >>> reranker = RerankPostprocessor(model="mini", top_n=3)
        >>> query_engine = index.as_query_engine(similarity_top_k=20, node_postprocessors=[reranker])
    """

    model: Name = option("model", "BAAI/bge-reranker-v2-m3")


def _checked(query: object, nodes: object) -> QueryBundle:
    if query is None:
        msg = "a query is needed to rerank, got none; pass query_str='...' or query_bundle=QueryBundle('...')"
        raise InvalidInputError(msg)
    if not isinstance(query, QueryBundle) or not isinstance(query.query_str, str):
        kind = type(getattr(query, "query_str", query)).__name__
        msg = f"the query must be a QueryBundle of a string, got {kind}; pass a text as query_str='...'"
        raise InvalidInputError(msg)
    expected = "a NodeWithScore, so wrap it: NodeWithScore(node=...)"
    check_list("nodes", nodes, NodeWithScore, plural="NodeWithScore", expected=expected)
    return query
