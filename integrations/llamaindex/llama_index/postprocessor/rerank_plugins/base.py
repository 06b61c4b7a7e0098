"""Node postprocessors that rerank: text out, scores back, on copies."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Annotated, Any, ClassVar

from llama_index.core.bridge.pydantic import Field
from llama_index.core.callbacks import CallbackManager
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, EnumNameSerializer, MetadataMode, NodeWithScore, QueryBundle
from llama_index.postprocessor.rerank_plugins.options import ComponentOptions
from llama_index.postprocessor.rerank_plugins.results import fallen_back, retrieval_score_of, scored_text, with_metadata
from llama_index.postprocessor.rerank_plugins.tracing import Outcome, dispatcher, traced
from typing_extensions import Self, Unpack

from rerank_plugins.adapters.checks import check_list
from rerank_plugins.adapters.fields import Name, Switch, option
from rerank_plugins.adapters.metadata import details_of
from rerank_plugins.adapters.overrides import in_effect
from rerank_plugins.adapters.reranking import AnyRerankerOptions, Ranked, RankingOptions, RankingSettings
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import RankedDocument

__all__ = ["BaseRerankPostprocessor", "RerankPostprocessor", "RerankSettings"]


class RerankSettings(RankingSettings, total=False):
    """Settings of a postprocessor that do not decide how its model is loaded; a class has those that fit its model."""

    metadata_mode: MetadataMode
    keep_retrieval_score: bool
    keep_details: bool
    callback_manager: CallbackManager


class BaseRerankPostprocessor(ComponentOptions, RankingOptions, BaseNodePostprocessor):
    """What all reranking postprocessors do; :class:`RerankPostprocessor` is the one that takes any model.

    The model is loaded when the object is created, once per process. Any number of threads and event loops may use one
    object; the async methods do not block the loop.

    Results are new objects; the nodes that came in, their scores and metadata are not changed. A result's
    ``score`` is a Python float. Its node is a copy with the metadata keys ``retrieval_score`` (the score that it came
    with), ``rerank_probability``, ``rerank_rank``, ``rerank_truncated`` and ``rerank_window`` (``[start, end]``
    characters of :meth:`scored_text`), as :mod:`rerank_plugins.adapters.metadata` explains them. They are left out of
    the text for LLMs and embedding models.

    A copy keeps its id, relationships and type. A text node's ``hash`` covers its metadata; set
    ``keep_retrieval_score`` and ``keep_details`` to False to get the very same nodes back. Nodes whose
    scored text is blank rank last.

    Calls that are not in time keep the retrieval order; see :class:`~rerank_plugins.adapters.reranking.RankingOptions`.

    One call with other settings: ``reranker.with_settings(top_n=3).postprocess_nodes(...)``, or, where an
    engine makes the call, ``with reranker.using(top_n=3): engine.query(...)``. Both leave the object as it
    is, so that calls at the same time may have different settings.
    """

    _any_model: ClassVar[str] = "RerankPostprocessor"

    metadata_mode: Annotated[MetadataMode, EnumNameSerializer] = Field(
        default=MetadataMode.EMBED, description="Which metadata is part of the text that is scored."
    )
    keep_retrieval_score: Switch = Field(
        default=True, description="Keep the score that a node came with as metadata 'retrieval_score'."
    )
    keep_details: Switch = Field(
        default=True, description="Keep probability, rank, window and truncation as metadata 'rerank_*'."
    )

    @classmethod
    def from_reranker(cls, reranker: Reranker, **settings: Unpack[RerankSettings]) -> Self:
        """Rerank with a core object, for example one made by ``Reranker.from_loaded``.

        The new object can be pickled if the reranker can: not if another library loaded its model. Its serialised
        form names the model and holds the reranker's options, so it can be rebuilt where that name can be opened.

        Args:
            reranker: Used as it is, not copied.
            **settings: ``top_n`` and the other options that do not depend on the model.

        Raises:
            ValueError: A setting is unknown, cannot work, or is the reranker's to decide.
        """
        return cls._around_reranker(reranker, settings)

    def scored_text(self, node: BaseNode) -> str:
        """Return the text of a node that the model sees; ``rerank_window`` counts its characters."""
        return scored_text(node, self.metadata_mode)

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query, settings = _checked(query_bundle, nodes), in_effect(self)
        with settings._traced(nodes, query, self.callback_manager) as outcome:
            settings._fill(outcome, nodes, settings._rank(query.query_str, settings._texts(nodes)))
        return outcome.nodes

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query, settings = _checked(query_bundle, nodes), in_effect(self)
        with settings._traced(nodes, query, self.callback_manager) as outcome:
            settings._fill(outcome, nodes, await settings._arank(query.query_str, settings._texts(nodes)))
        return outcome.nodes

    def _traced(
        self, nodes: Sequence[NodeWithScore], query: QueryBundle, callback_manager: CallbackManager
    ) -> AbstractContextManager[Outcome]:
        return traced(nodes, query, top_n=self.top_n, model_name=self.model, callback_manager=callback_manager)

    def _texts(self, nodes: Sequence[NodeWithScore]) -> list[str]:
        return [self.scored_text(one.node) for one in nodes]

    def _fill(self, outcome: Outcome, nodes: Sequence[NodeWithScore], ranked: Ranked) -> None:
        if isinstance(ranked, str):
            outcome.fallback = ranked
            outcome.nodes = fallen_back(nodes[: self.top_n], ranked, keep_retrieval_score=self.keep_retrieval_score)
        else:
            outcome.nodes = [self._result(nodes[one.index], one) for one in ranked]

    def _result(self, original: NodeWithScore, ranked: RankedDocument) -> NodeWithScore:
        added: dict[str, Any] = retrieval_score_of(original) if self.keep_retrieval_score else {}
        if self.keep_details:
            added = {**added, **details_of(ranked)}
        node = with_metadata(original.node, added)
        return original.model_copy(update={"node": node, "score": self._score_of(ranked)})


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
