"""Two stages in one LlamaIndex retriever: retrieve many, rerank them, keep the best."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

from llama_index.core import VectorStoreIndex
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import BaseNode, NodeWithScore, QueryBundle, TransformComponent
from llama_index.core.vector_stores.types import BasePydanticVectorStore
from llama_index.postprocessor.rerank_plugins import BaseRerankPostprocessor
from llama_index.postprocessor.rerank_plugins.options import check_callbacks
from llama_index.postprocessor.rerank_plugins.results import with_metadata
from llama_index.retrievers.rerank_plugins.first_stage import FirstStageRetriever, GrowingRetriever
from llama_index.retrievers.rerank_plugins.nodes import readable
from llama_index.retrievers.rerank_plugins.parts import OWN, PARTS, AnyEmbedder, AnyReranker
from typing_extensions import Self

from rerank_plugins.adapters.arguments import DEFAULT_RERANKER, DEFAULT_TOP_N, check_text_query, own_stage
from rerank_plugins.adapters.checks import check_kind, checked_count
from rerank_plugins.adapters.metadata import RETRIEVAL_RANK_KEY
from rerank_plugins.adapters.retrievers import closed_unless_passed
from rerank_plugins.adapters.saved import open_folder
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval import Fusion, RetrieverName
from rerank_plugins.retrieval.build import DEFAULT_EMBEDDER, AnyTokenVectorStore
from rerank_plugins.types import ScoreUnit

__all__ = ["TwoStageRetriever"]


class TwoStageRetriever(GrowingRetriever):
    """Retrieves with any retriever, and reranks what it finds with any model that the core knows.

    Reranked results are those of :class:`~llama_index.postprocessor.rerank_plugins.BaseRerankPostprocessor`, with the
    metadata key ``retrieval_rank`` (1 is the first stage's best) beside ``retrieval_score``, unless the postprocessor
    has ``keep_retrieval_score=False``; neither is part of the text for LLMs and embedding models. A document that the
    first stage finds comes back as a text node, so that ``text`` can be read of every result. Both stages report their
    own events. Any number of threads and event loops may use one object.

    One call with other settings: ``retriever.with_settings(top_n=1).retrieve(...)``.

    Args:
        first_stage: Finds the candidates, as many as it is set to.
        reranker: Reranks them: a postprocessor of this package, of any class and with its own options, a core
            reranker, or a model's name. None returns the first stage's order.
        top_n: Nodes returned at most; None leaves it to the reranker (5, unless it was told), and without one returns
            all.
        callback_manager: For LlamaIndex's callbacks, of the reranker too; None has none.
        verbose: As in every LlamaIndex retriever.

    Raises:
        InvalidInputError: ``top_n`` is below 1, or an argument is of another kind.
        ModelError: The reranker that was named cannot be loaded.

    Example:
        >>> retriever = TwoStageRetriever.from_documents(
        ...     ["Berlin", "Paris is the capital."], embedder="mini", reranker="mini", top_k=2, top_n=1
        ... )
        >>> retriever.retrieve("capital of France")[0].text
        'Paris is the capital.'
    """

    @checked_call(unchecked=OWN)
    def __init__(
        self,
        first_stage: BaseRetriever,
        *,
        reranker: AnyReranker | None = None,
        top_n: int | None = None,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
    ) -> None:
        limit = None if top_n is None else checked_count("top_n", top_n)
        expected = "a retriever of LlamaIndex, such as index.as_retriever(similarity_top_k=50)"
        check_kind("first_stage", first_stage, BaseRetriever, expected=expected)
        check_callbacks(callback_manager)
        check_kind("verbose", verbose, bool, expected="True or False")
        super().__init__(callback_manager=callback_manager, verbose=verbose)
        given = {"top_n": limit, "callback_manager": callback_manager}
        changes = {name: value for name, value in given.items() if value is not None}
        made = PARTS.reranker_of(reranker)
        self._first_stage, self._top_n = first_stage, limit
        self._reranker = made if made is None or not changes else made._standing_in(**changes)

    @classmethod
    @checked_call(unchecked=OWN)
    def from_documents(
        cls,
        documents: Sequence[BaseNode | str],
        *,
        retriever: RetrieverName = "hybrid",
        embedder: AnyEmbedder = DEFAULT_EMBEDDER,
        reranker: AnyReranker | None = DEFAULT_RERANKER,
        top_k: int = 50,
        top_n: int | None = DEFAULT_TOP_N,
        threshold: float | None = None,
        threshold_unit: ScoreUnit = "probability",
        transformations: Sequence[TransformComponent] | None = None,
        faiss_index: str | None = "Flat",
        fusion: Fusion = "rrf",
        weights: Sequence[float] | None = None,
        vectors: AnyTokenVectorStore | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> TwoStageRetriever:
        """Index documents and return a retriever over them.

        The first stage has the options of :meth:`FirstStageRetriever.from_documents`, and raises what that does.
        ``reranker`` is what the constructor takes; None has no second stage. ``top_n=None`` returns all ``top_k`` nodes
        that were retrieved. Reranked ones below ``threshold``, in ``threshold_unit``, are left out; a postprocessor
        that is passed has a threshold of its own, and its own ``top_n`` where none is given here.
        """
        check_callbacks(callback_manager)
        made, limit = PARTS.second_stage(reranker, top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
        options: dict[str, Any] = {"faiss_index": faiss_index, "fusion": fusion, "weights": weights, "vectors": vectors}
        options |= {"embedder": embedder, "transformations": transformations}
        with closed_unless_passed(made, reranker):
            first_stage = FirstStageRetriever.from_documents(documents, retriever=retriever, top_k=top_k, **options)
        return cls(first_stage, reranker=made, top_n=limit, callback_manager=callback_manager)

    @classmethod
    @checked_call(unchecked=OWN)
    def from_vector_store(
        cls,
        vector_store: BasePydanticVectorStore,
        *,
        embed_model: BaseEmbedding,
        reranker: AnyReranker | None = DEFAULT_RERANKER,
        top_k: int = 50,
        top_n: int | None = DEFAULT_TOP_N,
        threshold: float | None = None,
        threshold_unit: ScoreUnit = "probability",
        callback_manager: CallbackManager | None = None,
    ) -> TwoStageRetriever:
        """Return a retriever over a vector store of any kind that keeps its nodes' texts.

        ``embed_model`` is any LlamaIndex embedding, the one that the nodes were embedded with. The other options are
        those of :meth:`from_documents`.

        Raises:
            InvalidInputError: An option cannot work, or the store keeps no texts.
            ModelError: The reranker cannot be loaded.
        """
        top_k = checked_count("top_k", top_k)
        check_callbacks(callback_manager)
        check_kind("vector_store", vector_store, BasePydanticVectorStore, expected="a vector store of LlamaIndex")
        check_kind("embed_model", embed_model, BaseEmbedding, expected="an embedding of LlamaIndex")
        if not vector_store.stores_text:
            msg = (
                f"a {type(vector_store).__name__} keeps no texts to rerank; "
                "pass its index's retriever instead: TwoStageRetriever(index.as_retriever(similarity_top_k=...), ...)"
            )
            raise InvalidInputError(msg)
        made, limit = PARTS.second_stage(reranker, top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
        index = VectorStoreIndex.from_vector_store(vector_store, embed_model=embed_model)
        first_stage = index.as_retriever(similarity_top_k=top_k)
        return cls(first_stage, reranker=made, top_n=limit, callback_manager=callback_manager)

    @classmethod
    @checked_call(unchecked=OWN)
    def from_persist_dir(
        cls,
        persist_dir: str | Path,
        *,
        reranker: AnyReranker | None = None,
        embedder: AnyEmbedder | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> TwoStageRetriever:
        """Return a retriever that :meth:`persist` wrote. Indexes are built again; no text is embedded again.

        Args:
            persist_dir: The folder.
            reranker: As in :meth:`from_documents`, with the saved ``top_n`` and threshold for one that is no
                postprocessor; None opens the one that was saved, if any.
            embedder: See :meth:`FirstStageRetriever.from_persist_dir`, which raises the same errors.
            callback_manager: For LlamaIndex's callbacks; None has none.

        Raises:
            InvalidInputError: The reranker that was saved can be opened by who made it only.
        """
        check_callbacks(callback_manager)
        opened = open_folder(PARTS, persist_dir)
        made, limit = opened.second_stage(reranker)
        with closed_unless_passed(made, reranker):
            first_stage = FirstStageRetriever._over(*opened.first_stage(embedder), callback_manager)
        return cls(first_stage, reranker=made, top_n=limit, callback_manager=callback_manager)

    @property
    def reranker(self) -> BaseRerankPostprocessor | None:
        """What reranks; None for the first stage alone."""
        return self._reranker

    def with_settings(self, **settings: Any) -> Self:
        """Return a copy whose reranker has other settings; the first stage and the loaded models are shared.

        Args:
            **settings: ``top_n``, and any other option of the reranker.

        Raises:
            ValueError: An option is unknown or cannot work, or it is one of a reranker and there is none.
        """
        changed = copy(self)
        changed._reranker, changed._top_n = PARTS.changed_stage(self._reranker, settings, top_n=self._top_n)
        return changed

    def _indexed(self, otherwise: str) -> FirstStageRetriever:
        return own_stage(self._first_stage, FirstStageRetriever, otherwise=otherwise)

    def _kept(self) -> dict[str, Any]:
        return {"top_n": self._top_n, "reranker": self._reranker}

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        check_text_query(query_bundle.query_str)
        found = readable(self._first_stage.retrieve(query_bundle))
        if self._reranker is None:
            return found[: self._top_n]
        results = self._reranker.postprocess_nodes(found, query_bundle=query_bundle)
        return _ranked(found, results) if self._reranker._in_effect().keep_retrieval_score else results

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        check_text_query(query_bundle.query_str)
        found = readable(await self._first_stage.aretrieve(query_bundle))
        if self._reranker is None:
            return found[: self._top_n]
        results = await self._reranker.apostprocess_nodes(found, query_bundle=query_bundle)
        return _ranked(found, results) if self._reranker._in_effect().keep_retrieval_score else results


def _ranked(found: Sequence[NodeWithScore], reranked: Sequence[NodeWithScore]) -> list[NodeWithScore]:
    """Return the reranked nodes with their rank in the first stage."""
    ranks = {one.node.node_id: rank for rank, one in reversed(list(enumerate(found, start=1)))}
    return [
        one.model_copy(update={"node": with_metadata(one.node, {RETRIEVAL_RANK_KEY: ranks[one.node.node_id]})})
        for one in reranked
    ]
