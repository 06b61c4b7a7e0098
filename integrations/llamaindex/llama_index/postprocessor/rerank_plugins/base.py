"""Node postprocessors that rerank: text out, scores back, on copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

from llama_index.core.bridge.pydantic import model_validator
from llama_index.core.callbacks import CallbackManager
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle
from llama_index.postprocessor.rerank_plugins.layers import PromptOptions
from llama_index.postprocessor.rerank_plugins.options import check_is_a
from llama_index.postprocessor.rerank_plugins.results import (
    details_of,
    fallen_back,
    retrieval_score_of,
    scored_text,
    with_metadata,
)
from llama_index.postprocessor.rerank_plugins.settings import RerankOptions, RerankSettings
from llama_index.postprocessor.rerank_plugins.tracing import Outcome, dispatcher, traced
from typing_extensions import Self, Unpack

from rerank_plugins.adapting import (
    NOT_IN_TIME,
    check_kind,
    check_model,
    fall_back,
    known_before_loading,
    stand_in,
    using,
)
from rerank_plugins.catalog import ModelSpec
from rerank_plugins.errors import DeadlineExceededError, InvalidInputError, OverloadedError
from rerank_plugins.fields import Layers, Name, option
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import EngineOptions, LayerOptions, RankedDocument

__all__ = ["BaseRerankPostprocessor", "RerankPostprocessor"]

_ENGINE_NAMES = ("max_waiting_tokens", "max_wait_ms", "max_batch_tokens")
_LAYER_NAMES = frozenset(LayerOptions.__dataclass_fields__)


class BaseRerankPostprocessor(RerankOptions, BaseNodePostprocessor):
    """What all reranking postprocessors do; :class:`RerankPostprocessor` is the one that takes any model.

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

    A call that is not in time (``deadline_s``), or that finds more waiting than ``max_waiting_tokens``, gives
    copies of the first ``top_n`` nodes in retrieval order: scores as they came, no threshold applied, and the
    metadata ``rerank_fallback`` with the reason, ``deadline`` or ``overloaded``. ``on_deadline="raise"`` raises
    :class:`~rerank_plugins.errors.DeadlineExceededError` or ``OverloadedError`` instead.

    One call with other settings: ``reranker.with_settings(top_n=3).postprocess_nodes(...)``, or, where an
    engine makes the call, ``with reranker.using(top_n=3): engine.query(...)``. Both leave the object as it
    is, so that calls at the same time may have different settings.

    Raises:
        ValueError: An option is unknown or has a value that cannot work.
        rerank_plugins.errors.ModelError: The model cannot be resolved or loaded.
        rerank_plugins.errors.DeviceUnavailableError: The device is not on this machine.
    """

    _scorers: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def class_name(cls) -> str:
        """Return the name by which LlamaIndex serialises the class."""
        return cls.__name__

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
            "peft_path": reranker.peft_path,
            "calibration": reranker.calibration,
            "deadline_s": reranker.engine.deadline_s,
            **{name: getattr(reranker.engine, name) for name in _ENGINE_NAMES},
            **cls._layers_of(reranker),
        }
        known = {name: value for name, value in described.items() if name in cls.model_fields}
        return cls._adopt(reranker, known, dict(settings))

    @model_validator(mode="after")
    def _check_loaded(self) -> Self:
        self._check(self.reranker.spec, usual=self.reranker.layers)
        return self

    def model_post_init(self, context: Any, /) -> None:
        """Open the model, unless one was given."""
        self._given_or(context, self._open)

    @property
    def reranker(self) -> Reranker:
        """The core object that scores; shared by copies of this one."""
        core: Reranker = self._core
        return core

    def scored_text(self, node: BaseNode) -> str:
        """Return the text of a node that the model sees; ``rerank_window`` counts its characters."""
        return scored_text(node, self.metadata_mode)

    @contextmanager
    def using(self, **settings: Any) -> Iterator[Self]:
        """Use other settings in a block, where an engine holds this object and calls it.

        They count for calls made by this thread or task and by tasks started in the block; calls from elsewhere,
        at the same time, are not touched. Blocks nest: an inner one changes what it names.

        Args:
            **settings: Options of the class, as in :meth:`with_settings`, whose checks and costs they share.

        Yields:
            The copy that is used.

        Raises:
            ValueError: As :meth:`with_settings`, before the block is entered.

        Example:
            >>> with reranker.using(top_n=3):
            ...     answer = query_engine.query("...")
        """
        with using(self, stand_in(self).with_settings(**settings)) as copy:
            yield copy

    def _open(self) -> Reranker:
        known = known_before_loading(self.model, family=self.family)
        if known is not None:
            self._check(known)
        options = {name: getattr(self, name) for name, field in type(self).model_fields.items() if field.frozen}
        engine = EngineOptions(**{name: options.pop(name) for name in _ENGINE_NAMES})
        return Reranker(**options, engine=engine)

    def _check(self, spec: ModelSpec, *, usual: LayerOptions | None = None) -> None:
        owner, instead = type(self).__name__, "RerankPostprocessor"
        asked = self._asked_layers()
        check_model(spec, owner=owner, scorers=self._scorers, instead=instead, asked=asked, usual=usual)

    def _asked_layers(self) -> LayerOptions | None:
        """Return the layers that calls ask for; a class without such options asks for none."""
        names = _LAYER_NAMES & type(self).model_fields.keys()
        return LayerOptions(**{name: getattr(self, name) for name in names}) if names else None

    @classmethod
    def _layers_of(cls, reranker: Reranker) -> dict[str, Any]:
        """Return the layers that a core object was made with, as options of this class."""
        if reranker.layers is None:
            return {}
        return {name: getattr(reranker.layers, name) for name in _LAYER_NAMES}

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query, settings = _checked(query_bundle, nodes), stand_in(self)
        with settings._traced(nodes, query, self.callback_manager) as outcome:
            try:
                ranked = settings.reranker.rank(query.query_str, settings._texts(nodes), **settings._call_options())
                outcome.nodes = settings._results(nodes, ranked)
            except NOT_IN_TIME as error:
                settings._fall_back(nodes, error, outcome)
        return outcome.nodes

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query, settings = _checked(query_bundle, nodes), stand_in(self)
        with settings._traced(nodes, query, self.callback_manager) as outcome:
            try:
                texts = settings._texts(nodes)
                ranked = await settings.reranker.arank(query.query_str, texts, **settings._call_options())
                outcome.nodes = settings._results(nodes, ranked)
            except NOT_IN_TIME as error:
                settings._fall_back(nodes, error, outcome)
        return outcome.nodes

    def _traced(
        self, nodes: Sequence[NodeWithScore], query: QueryBundle, callback_manager: CallbackManager
    ) -> AbstractContextManager[Outcome]:
        return traced(nodes, query, top_n=self.top_n, model_name=self.model, callback_manager=callback_manager)

    def _fall_back(
        self, nodes: Sequence[NodeWithScore], error: DeadlineExceededError | OverloadedError, outcome: Outcome
    ) -> None:
        outcome.fallback = fall_back(error, on_deadline=self.on_deadline, n_documents=len(nodes))
        first = nodes[: self.top_n]
        outcome.nodes = fallen_back(first, outcome.fallback, keep_retrieval_score=self.keep_retrieval_score)

    def _texts(self, nodes: Sequence[NodeWithScore]) -> list[str]:
        return [self.scored_text(one.node) for one in nodes]

    def _call_options(self) -> dict[str, Any]:
        return {
            "top_n": self.top_n,
            "threshold": self.threshold,
            "threshold_unit": self.threshold_unit,
            "layers": self._asked_layers(),
            "deadline_s": self.deadline_s,
        }

    def _results(self, nodes: Sequence[NodeWithScore], ranked: Sequence[RankedDocument]) -> list[NodeWithScore]:
        return [self._result(nodes[one.index], one) for one in ranked]

    def _result(self, original: NodeWithScore, ranked: RankedDocument) -> NodeWithScore:
        added = retrieval_score_of(original) if self.keep_retrieval_score else {}
        if self.keep_details:
            added = {**added, **details_of(ranked)}
        score = ranked.score if self.score_unit == "raw" else ranked.probability
        return original.model_copy(update={"node": with_metadata(original.node, added), "score": score})


class RerankPostprocessor(PromptOptions, BaseRerankPostprocessor):
    """Reranks nodes with any reranking model that the core can run; see :class:`BaseRerankPostprocessor`.

    Example:
        >>> reranker = RerankPostprocessor(model="mini", top_n=3)
        >>> query_engine = index.as_query_engine(similarity_top_k=20, node_postprocessors=[reranker])
    """

    model: Name = option("model", "BAAI/bge-reranker-v2-m3")
    layers: Layers | None = option("layers", None, frozen=False)

    def _asked_layers(self) -> LayerOptions | None:
        return self.layers

    @classmethod
    def _layers_of(cls, reranker: Reranker) -> dict[str, Any]:
        return {"layers": reranker.layers}


def _checked(query: object, nodes: object) -> QueryBundle:
    if query is None:
        msg = "a query is needed to rerank, got none; pass query_str='...' or query_bundle=QueryBundle('...')"
        raise InvalidInputError(msg)
    if not isinstance(query, QueryBundle) or not isinstance(query.query_str, str):
        kind = type(getattr(query, "query_str", query)).__name__
        msg = f"the query must be a QueryBundle of a string, got {kind}; pass a text as query_str='...'"
        raise InvalidInputError(msg)
    if isinstance(nodes, (str, bytes)) or not isinstance(nodes, Sequence):
        msg = f"nodes must be a list of NodeWithScore, got {type(nodes).__name__}; put a single one into a list"
        raise InvalidInputError(msg)
    for index, node in enumerate(nodes):
        check_kind(f"nodes[{index}]", node, NodeWithScore, told="a NodeWithScore, so wrap it: NodeWithScore(node=...)")
    return query
