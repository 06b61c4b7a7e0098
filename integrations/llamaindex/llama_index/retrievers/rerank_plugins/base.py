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
from llama_index.embeddings.rerank_plugins import InstructionEmbedding
from llama_index.postprocessor.rerank_plugins import BaseRerankPostprocessor
from llama_index.postprocessor.rerank_plugins.results import DETAIL_KEYS, RETRIEVAL_RANK_KEY, with_metadata
from llama_index.retrievers.rerank_plugins.arguments import (
    OWN,
    AnyReranker,
    check_callbacks,
    postprocessor_of,
    second_stage,
)
from llama_index.retrievers.rerank_plugins.copied import CopiedRetriever
from llama_index.retrievers.rerank_plugins.first_stage import FirstStageRetriever
from llama_index.retrievers.rerank_plugins.nodes import readable
from llama_index.retrievers.rerank_plugins.saved import open_folder, opened_postprocessor
from typing_extensions import Self

from rerank_plugins.adapting import check_kind, checked_count
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval import Fusion, RetrieverName
from rerank_plugins.retrieval.build import DEFAULT_EMBEDDER
from rerank_plugins.retrieval.saved import told_if_damaged
from rerank_plugins.types import ScoreUnit

__all__ = ["TwoStageRetriever"]

_DEFAULT_RERANKER = "BAAI/bge-reranker-v2-m3"
_ELSEWHERE = "nodes cannot be added to it here; add them to its index, such as index.insert_nodes(...)"


class TwoStageRetriever(CopiedRetriever):
    """Retrieves with any retriever, and reranks what it finds with any model that the core knows.

    Reranked results are those of :class:`~llama_index.postprocessor.rerank_plugins.BaseRerankPostprocessor`, with the
    metadata key ``retrieval_rank`` (1 is the first stage's best) beside ``retrieval_score``, unless the postprocessor
    has ``keep_retrieval_score=False``; neither is part of
    the text for LLMs and embedding models. A document that the first stage finds comes back as a text node, so that
    ``text`` can be read of every result. Both stages report their own events. Any number of threads and event loops
    may use one object.

    One call with other settings: ``retriever.with_settings(top_n=1).retrieve(...)``; see :meth:`with_settings`.

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

    @checked_call(own=OWN)
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
        told = "a retriever of LlamaIndex, such as index.as_retriever(similarity_top_k=50)"
        check_kind("first_stage", first_stage, BaseRetriever, told=told)
        check_callbacks(callback_manager)
        check_kind("verbose", verbose, bool, told="True or False")
        super().__init__(callback_manager=callback_manager, verbose=verbose)
        changes: dict[str, object] = {} if limit is None else {"top_n": limit}
        if callback_manager is not None:
            changes["callback_manager"] = callback_manager
        made = postprocessor_of(reranker)
        self._first_stage, self._top_n = first_stage, limit
        self._reranker = made if made is None or not changes else made.with_settings(**changes)

    @classmethod
    @checked_call(own=OWN)
    def from_documents(
        cls,
        documents: Sequence[BaseNode | str],
        *,
        retriever: RetrieverName = "hybrid",
        embedder: InstructionEmbedding | Embedder | str | Path = DEFAULT_EMBEDDER,
        reranker: AnyReranker | None = _DEFAULT_RERANKER,
        top_k: int = 50,
        top_n: int | None = 5,
        threshold: float | None = None,
        threshold_unit: ScoreUnit = "probability",
        transformations: Sequence[TransformComponent] | None = None,
        faiss_index: str | None = "Flat",
        fusion: Fusion = "rrf",
        weights: Sequence[float] | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> TwoStageRetriever:
        """Index documents and return a retriever over them.

        Args:
            documents: Documents, nodes or texts.
            retriever: ``bm25``, ``dense`` or ``hybrid``.
            embedder: An embedding of this package, a core embedder, or a model's name; BM25 loads none.
            reranker: A postprocessor of any class with its own options, a core reranker, a model's name, or None for no
                second stage.
            top_k: Nodes retrieved.
            top_n: Nodes returned at most; None returns all that were retrieved.
            threshold: Reranked nodes below it are left out; a postprocessor that is passed has its own.
            threshold_unit: What ``threshold`` is compared with.
            transformations: Run over the documents first, such as a splitter; None indexes them whole.
            faiss_index: ``Flat`` is exact; None needs no FAISS.
            fusion: ``rrf`` or ``weighted``.
            weights: Of the dense stage and of BM25 in a hybrid; None counts both alike.
            callback_manager: For LlamaIndex's callbacks; None has none.

        Raises:
            InvalidInputError: ``documents`` holds something else, or an option cannot work.
            MissingExtraError: bm25s or FAISS is not installed.
            ModelError: A model cannot be loaded.
        """
        made = second_stage(reranker, top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
        first_stage = FirstStageRetriever.from_documents(
            documents,
            retriever=retriever,
            embedder=embedder,
            top_k=top_k,
            transformations=transformations,
            faiss_index=faiss_index,
            fusion=fusion,
            weights=weights,
            callback_manager=callback_manager,
        )
        return cls(first_stage, reranker=made, top_n=top_n, callback_manager=callback_manager)

    @classmethod
    @checked_call(own=OWN)
    def from_vector_store(
        cls,
        vector_store: BasePydanticVectorStore,
        *,
        embed_model: BaseEmbedding,
        reranker: AnyReranker | None = _DEFAULT_RERANKER,
        top_k: int = 50,
        top_n: int | None = 5,
        threshold: float | None = None,
        threshold_unit: ScoreUnit = "probability",
        callback_manager: CallbackManager | None = None,
    ) -> TwoStageRetriever:
        """Return a retriever over a vector store of any kind that keeps its nodes' texts.

        Args:
            vector_store: Holds the nodes.
            embed_model: What the nodes were embedded with; any LlamaIndex embedding.
            reranker: See :meth:`from_documents`.
            top_k: Nodes retrieved.
            top_n: See :meth:`from_documents`.
            threshold: See :meth:`from_documents`.
            threshold_unit: See :meth:`from_documents`.
            callback_manager: For LlamaIndex's callbacks; None has none.

        Raises:
            InvalidInputError: An option cannot work, or the store keeps no texts.
            ModelError: The reranker cannot be loaded.
        """
        top_k = checked_count("top_k", top_k)
        check_callbacks(callback_manager)
        check_kind("vector_store", vector_store, BasePydanticVectorStore, told="a vector store of LlamaIndex")
        check_kind("embed_model", embed_model, BaseEmbedding, told="an embedding of LlamaIndex")
        if not vector_store.stores_text:
            msg = (
                f"a {type(vector_store).__name__} keeps no texts to rerank; "
                "pass its index's retriever instead: TwoStageRetriever(index.as_retriever(similarity_top_k=...), ...)"
            )
            raise InvalidInputError(msg)
        made = second_stage(reranker, top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
        index = VectorStoreIndex.from_vector_store(vector_store, embed_model=embed_model)
        return cls(
            index.as_retriever(similarity_top_k=top_k),
            reranker=made,
            top_n=top_n,
            callback_manager=callback_manager,
        )

    @checked_call(own=OWN)
    def insert_nodes(self, nodes: Sequence[BaseNode]) -> list[str]:
        """Index more nodes, as :meth:`FirstStageRetriever.insert_nodes` does, and return their ids.

        Raises:
            InvalidInputError: As there, or the first stage is a retriever of another kind.
            ScoringError: The embedder returned NaN or infinity.
        """
        return self._own_stage(_ELSEWHERE).insert_nodes(nodes)

    @checked_call(own=OWN)
    async def ainsert_nodes(self, nodes: Sequence[BaseNode]) -> list[str]:
        """Do what :meth:`insert_nodes` does, without blocking the event loop."""
        return await self._own_stage(_ELSEWHERE).ainsert_nodes(nodes)

    @checked_call(own=OWN)
    def add_documents(
        self, documents: Sequence[BaseNode | str], *, transformations: Sequence[TransformComponent] | None = None
    ) -> list[str]:
        """Split documents and insert their nodes; see :meth:`FirstStageRetriever.add_documents`."""
        return self._own_stage(_ELSEWHERE).add_documents(documents, transformations=transformations)

    @checked_call(own=OWN)
    async def aadd_documents(
        self, documents: Sequence[BaseNode | str], *, transformations: Sequence[TransformComponent] | None = None
    ) -> list[str]:
        """Do what :meth:`add_documents` does, without blocking the event loop."""
        return await self._own_stage(_ELSEWHERE).aadd_documents(documents, transformations=transformations)

    @checked_call()
    def persist(self, persist_dir: str | Path) -> Path:
        """Write nodes, vectors and settings into a folder, as :meth:`FirstStageRetriever.persist` does.

        The reranker is kept by its class and options, without where it ran, nor what its files may do (pickles,
        remote code).

        Raises:
            InvalidInputError: As there, or the first stage is a retriever of another kind.
        """
        own = self._own_stage("it cannot be persisted here; persist its index, and make this retriever over it again")
        return own._persist(persist_dir, top_n=self._top_n, reranker=self._reranker)

    @classmethod
    @checked_call(own=OWN)
    def from_persist_dir(
        cls,
        persist_dir: str | Path,
        *,
        reranker: AnyReranker | None = None,
        embedder: InstructionEmbedding | Embedder | str | Path | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> TwoStageRetriever:
        """Return a retriever that :meth:`persist` wrote. Indexes are built again; no text is embedded again.

        Args:
            persist_dir: The folder.
            reranker: As in :meth:`from_documents`, with the saved ``top_n`` and threshold for one that is no
                postprocessor; None opens the one that was saved, if any.
            embedder: See :meth:`FirstStageRetriever.from_persist_dir`.
            callback_manager: For LlamaIndex's callbacks; None has none.

        Raises:
            InvalidInputError: The folder holds something else or is damaged, the embedder is another one, or the
                reranker that was saved can be opened by who made it only.
            ModelError: A model cannot be loaded.
        """
        check_callbacks(callback_manager)
        saved, attached = open_folder(persist_dir)
        top_n = attached.settings.get("top_n")
        if reranker is None:
            made = opened_postprocessor(saved, attached.settings.get("reranker"))
        elif isinstance(reranker, BaseRerankPostprocessor):
            made = reranker
        else:
            with told_if_damaged(saved.folder):
                limits = {name: saved.selection[name] for name in ("top_n", "threshold", "threshold_unit")}
            made, top_n = second_stage(reranker, **limits), limits["top_n"]
        first_stage = FirstStageRetriever._restored(saved, attached, embedder, callback_manager)
        with told_if_damaged(saved.folder):
            return cls(first_stage, reranker=made, top_n=top_n, callback_manager=callback_manager)

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
        if self._reranker is not None:
            changed._reranker = self._reranker.with_settings(**settings)
        elif settings.keys() - {"top_n"}:
            msg = f"there is no reranker that {', '.join(sorted(settings.keys() - {'top_n'}))} could be set of"
            raise InvalidInputError(msg)
        top_n = settings.get("top_n", self._top_n)
        changed._top_n = None if top_n is None else checked_count("top_n", top_n)
        return changed

    def _own_stage(self, otherwise: str) -> FirstStageRetriever:
        if isinstance(self._first_stage, FirstStageRetriever):
            return self._first_stage
        msg = f"the first stage is a {type(self._first_stage).__name__}, made elsewhere: {otherwise}"
        raise InvalidInputError(msg)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        _check_query(query_bundle)
        found = readable(self._first_stage.retrieve(query_bundle))
        if self._reranker is None:
            return found[: self._top_n]
        results = self._reranker.postprocess_nodes(found, query_bundle=query_bundle)
        return _ranked(found, results) if self._reranker.keep_retrieval_score else results

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        _check_query(query_bundle)
        found = readable(await self._first_stage.aretrieve(query_bundle))
        if self._reranker is None:
            return found[: self._top_n]
        results = await self._reranker.apostprocess_nodes(found, query_bundle=query_bundle)
        return _ranked(found, results) if self._reranker.keep_retrieval_score else results


def _check_query(query_bundle: QueryBundle) -> None:
    query: object = query_bundle.query_str
    if not isinstance(query, str) or not query.strip():
        got = "a blank one" if isinstance(query, str) else type(query).__name__
        msg = f"the query must be a text that is not blank, got {got}"
        raise InvalidInputError(msg)


def _ranked(found: Sequence[NodeWithScore], reranked: Sequence[NodeWithScore]) -> list[NodeWithScore]:
    """Return the reranked nodes with their rank in the first stage."""
    ranks = {one.node.node_id: rank for rank, one in reversed(list(enumerate(found, start=1)))}
    results = []
    for one in reranked:
        details = {key: value for key, value in one.node.metadata.items() if key in DETAIL_KEYS}
        node = with_metadata(one.node, {**details, RETRIEVAL_RANK_KEY: ranks[one.node.node_id]})
        results.append(one.model_copy(update={"node": node}))
    return results
