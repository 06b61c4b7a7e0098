"""Node postprocessors that rerank: text out, scores back, on copies."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Annotated, Any

from llama_index.core.bridge.pydantic import Field, PrivateAttr, model_validator
from llama_index.core.callbacks import CallbackManager
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, EnumNameSerializer, MetadataMode, NodeWithScore, QueryBundle
from llama_index.postprocessor.rerank_plugins.options import LocalModelOptions, check_is_a
from llama_index.postprocessor.rerank_plugins.results import (
    details_of,
    retrieval_score_of,
    scored_text,
    with_metadata,
)
from llama_index.postprocessor.rerank_plugins.tracing import dispatcher, traced
from typing_extensions import Self, TypedDict, Unpack

from rerank_plugins.calibration import Calibration
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.ranking.order import check_threshold
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import (
    LayerOptions,
    LongDocuments,
    LongDocumentStrategy,
    RankedDocument,
    ScoreUnit,
    TruncationRule,
)

__all__ = ["BceRerankPostprocessor", "BgeRerankPostprocessor", "RerankPostprocessor", "RerankSettings"]


class RerankSettings(TypedDict, total=False):
    """Settings of a postprocessor that do not depend on its model."""

    top_n: int | None
    threshold: float | None
    threshold_unit: ScoreUnit
    score_unit: ScoreUnit
    metadata_mode: MetadataMode
    keep_retrieval_score: bool
    keep_details: bool
    callback_manager: CallbackManager


class RerankPostprocessor(LocalModelOptions, BaseNodePostprocessor):
    """Reranks nodes with any reranking model that the core can run.

    The model is loaded when the object is created, once per process: objects that name the same model,
    revision, device and dtype share its weights, those of other frameworks included. Any number of
    threads and event loops may use one object; the async methods do not block the loop.

    Results are new objects; the nodes that came in, their scores and metadata are not changed. A result's
    ``score`` is a Python float. Its node is a copy with these metadata keys, which are left out of the
    text for LLMs and embedding models:

    * ``retrieval_score``: the score that the node came with; absent if it had none.
    * ``rerank_probability``: the score in [0, 1].
    * ``rerank_rank``: 1 for the best node.
    * ``rerank_truncated``: whether some of the text was never read by the model.
    * ``rerank_window``: ``[start, end]``, the characters of the scored text (:meth:`scored_text`) that the
      score was read from; absent when the whole text was read, or when no window won alone.

    A copy keeps its id, relationships and type. A text node's ``hash`` covers its metadata; set
    ``keep_retrieval_score`` and ``keep_details`` to False to get the very same nodes back. Nodes whose
    scored text is blank rank last.

    Raises:
        ValueError: An option is unknown or has a value that cannot work.
        rerank_plugins.errors.ModelError: The model cannot be resolved or loaded.
        rerank_plugins.errors.DeviceUnavailableError: The device is not on this machine.

    Example:
        >>> reranker = RerankPostprocessor(model="mini", top_n=3)
        >>> query_engine = index.as_query_engine(similarity_top_k=20, node_postprocessors=[reranker])
    """

    model: str = Field(default="BAAI/bge-reranker-v2-m3", frozen=True, description="A hub id, a local folder, or mini.")
    query_max_length: int | None = Field(
        default=None,
        ge=1,
        strict=True,
        frozen=True,
        description="Tokens of a query kept at most; None takes the rule of the model's family.",
    )
    long_documents: LongDocumentStrategy | LongDocuments = Field(
        default="truncate",
        frozen=True,
        description="How a text longer than the input is scored: truncate, maxp, firstp, meanp, topkmean.",
    )
    truncation: TruncationRule | None = Field(
        default=None, frozen=True, description="Rule for pairs that are too long; None takes the family's own."
    )
    prompt: str | None = Field(
        default=None, frozen=True, description="Instruction of an LLM reranker; None takes the model's own."
    )
    layers: LayerOptions | None = Field(
        default=None,
        frozen=True,
        description="Layer and compression of a layerwise LLM reranker; None takes the model's defaults.",
    )
    calibration: str | Calibration | None = Field(
        default=None,
        frozen=True,
        description="A calibration or its file, which then makes the probabilities; None takes the model's own scale.",
    )
    top_n: int | None = Field(default=5, ge=1, strict=True, description="Nodes returned at most; None returns all.")
    threshold: float | None = Field(
        default=None, strict=True, description="Nodes that score below it are left out; None keeps all."
    )
    threshold_unit: ScoreUnit = Field(
        default="probability", description="What threshold is compared with: probability or raw."
    )
    score_unit: ScoreUnit = Field(
        default="raw", description="What a result's score is: the model's raw score, or a probability."
    )
    metadata_mode: Annotated[MetadataMode, EnumNameSerializer] = Field(
        default=MetadataMode.EMBED, description="Which metadata is part of the text that is scored."
    )
    keep_retrieval_score: bool = Field(
        default=True, description="Keep the score that a node came with as metadata 'retrieval_score'."
    )
    keep_details: bool = Field(
        default=True, description="Keep probability, rank, window and truncation as metadata 'rerank_*'."
    )

    _reranker: Reranker = PrivateAttr()

    @classmethod
    def class_name(cls) -> str:
        """Return the name by which LlamaIndex serialises the class."""
        return cls.__name__

    @classmethod
    def from_reranker(cls, reranker: Reranker, **settings: Unpack[RerankSettings]) -> Self:
        """Rerank with a core object, for example one made by ``Reranker.from_loaded``.

        The new object cannot be pickled; its serialised form names the model and holds the reranker's
        options, so it can be rebuilt where that name can be opened.

        Args:
            reranker: Used as it is, not copied.
            **settings: ``top_n`` and the other options that do not depend on the model.

        Raises:
            ValueError: A setting is unknown, cannot work, or is the reranker's to decide.
        """
        check_is_a(reranker, Reranker)
        described = {
            "model": reranker.model,
            "family": reranker.spec.family,
            "device": reranker.device,
            "dtype": reranker.dtype,
            "max_length": reranker.max_length,
            "query_max_length": reranker.query_max_length,
            "long_documents": reranker.long_documents,
            "truncation": reranker.truncation,
            "prompt": reranker.spec.prompt or None,
            "layers": reranker.layers,
            "calibration": reranker.calibration,
        }
        return cls._adopt(reranker, described, dict(settings))

    @model_validator(mode="after")
    def _check_threshold(self) -> Self:
        check_threshold(self.threshold, unit=self.threshold_unit)
        return self

    def model_post_init(self, context: Any, /) -> None:
        """Open the model, unless one was given."""
        self._reranker = self._given_or(context, self._open)

    @property
    def reranker(self) -> Reranker:
        """The core object that scores; shared by copies of this one."""
        return self._reranker

    def scored_text(self, node: BaseNode) -> str:
        """Return the text of a node that the model sees; ``rerank_window`` counts its characters."""
        return scored_text(node, self.metadata_mode)

    def _open(self) -> Reranker:
        return Reranker(
            self.model,
            query_max_length=self.query_max_length,
            long_documents=self.long_documents,
            truncation=self.truncation,
            prompt=self.prompt,
            layers=self.layers,
            calibration=self.calibration,
            **self._loading_options(),
        )

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _checked(query_bundle)
        with self._traced(nodes, query) as results:
            ranked = self._reranker.rank(query.query_str, self._texts(nodes), **self._selection())
            results.extend(self._results(nodes, ranked))
        return results

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _checked(query_bundle)
        with self._traced(nodes, query) as results:
            ranked = await self._reranker.arank(query.query_str, self._texts(nodes), **self._selection())
            results.extend(self._results(nodes, ranked))
        return results

    def _traced(
        self, nodes: Sequence[NodeWithScore], query: QueryBundle
    ) -> AbstractContextManager[list[NodeWithScore]]:
        return traced(nodes, query, top_n=self.top_n, model_name=self.model, callback_manager=self.callback_manager)

    def _texts(self, nodes: Sequence[NodeWithScore]) -> list[str]:
        return [self.scored_text(one.node) for one in nodes]

    def _selection(self) -> dict[str, Any]:
        return {"top_n": self.top_n, "threshold": self.threshold, "threshold_unit": self.threshold_unit}

    def _results(self, nodes: Sequence[NodeWithScore], ranked: Sequence[RankedDocument]) -> list[NodeWithScore]:
        return [self._result(nodes[one.index], one) for one in ranked]

    def _result(self, original: NodeWithScore, ranked: RankedDocument) -> NodeWithScore:
        added = retrieval_score_of(original) if self.keep_retrieval_score else {}
        if self.keep_details:
            added = {**added, **details_of(ranked)}
        score = ranked.score if self.score_unit == "raw" else ranked.probability
        return original.model_copy(update={"node": with_metadata(original.node, added), "score": score})


class BgeRerankPostprocessor(RerankPostprocessor):
    """Reranks nodes with a BGE reranker; see :class:`RerankPostprocessor`.

    Example:
        >>> index.as_query_engine(node_postprocessors=[BgeRerankPostprocessor(top_n=5)])
    """

    family: str | None = Field(
        default="bge", frozen=True, description="Conventions to use for a local folder; see RerankPostprocessor."
    )


class BceRerankPostprocessor(RerankPostprocessor):
    """Reranks nodes with a BCE reranker; see :class:`RerankPostprocessor`.

    Long texts are split into overlapping windows and take the score of the best one, as BCEmbedding's
    own ``rerank`` does. Its authors read the probability as an absolute score: a ``threshold`` of about
    0.35 leaves out what does not answer the query.
    """

    model: str = Field(
        default="maidalun1020/bce-reranker-base_v1",
        frozen=True,
        description="A hub id, a local folder, or mini.",
    )
    family: str | None = Field(
        default="bce", frozen=True, description="Conventions to use for a local folder; see RerankPostprocessor."
    )
    long_documents: LongDocumentStrategy | LongDocuments = Field(
        default="maxp",
        frozen=True,
        description="How a text longer than the input is scored: truncate, maxp, firstp, meanp, topkmean.",
    )


def _checked(query: QueryBundle | None) -> QueryBundle:
    if query is None:
        msg = "a query is needed to rerank, got none; pass query_str='...' or query_bundle=QueryBundle('...')"
        raise InvalidInputError(msg)
    return query
