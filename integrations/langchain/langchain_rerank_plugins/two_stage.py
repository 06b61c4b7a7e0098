"""Two stages in one LangChain retriever: retrieve many, rerank them, keep the best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, RetrieverLike
from langchain_core.vectorstores import VectorStore
from pydantic import ConfigDict, field_validator

from langchain_rerank_plugins.compressor import RerankCompressor
from langchain_rerank_plugins.embeddings import InstructionEmbeddings
from langchain_rerank_plugins.first_stage import FirstStageRetriever, with_metadata
from rerank_plugins import Embedder, Reranker
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_positive
from rerank_plugins.ranking.order import check_top_n
from rerank_plugins.retrieval import Fusion, RetrieverName
from rerank_plugins.retrieval.build import DEFAULT_EMBEDDER
from rerank_plugins.types import ScoreUnit

__all__ = ["TwoStageRetriever"]

_DEFAULT_RERANKER = "BAAI/bge-reranker-v2-m3"


class TwoStageRetriever(BaseRetriever):
    """Retrieves with any retriever, and reranks what it finds with any model that the core knows.

    Results are copies with the metadata of :class:`~langchain_rerank_plugins.RerankCompressor`, and with
    ``retrieval_rank`` (1 is the first stage's best). ``retrieval_score`` is there too where the first stage tells
    scores: one made by :meth:`from_documents` does, LangChain's vector store retrievers do not.

    In traces both stages are children of this retriever's run. One object may be used by any number of threads
    and event loops.

    Example:
        >>> retriever = TwoStageRetriever.from_documents(
        ...     ["Berlin", "Paris is the capital."], embedder="mini", reranker="mini", top_k=2, top_n=1
        ... )
        >>> retriever.invoke("capital of France")[0].page_content
        'Paris is the capital.'
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, use_attribute_docstrings=True)

    first_stage: RetrieverLike
    """Finds the candidates, as many as it is set to."""

    compressor: RerankCompressor | None = None
    """Reranks them; None returns the first stage's order."""

    top_n: int | None = None
    """Documents returned at most; None leaves it to the compressor, and without one returns all."""

    @field_validator("top_n", mode="before")
    @classmethod
    def _possible_top_n(cls, top_n: Any) -> Any:
        check_top_n(top_n)
        return top_n

    @classmethod
    def from_documents(
        cls,
        documents: Sequence[Document | str],
        *,
        retriever: RetrieverName = "hybrid",
        embedder: InstructionEmbeddings | Embedder | str | Path = DEFAULT_EMBEDDER,
        reranker: RerankCompressor | Reranker | str | Path | None = _DEFAULT_RERANKER,
        top_k: int = 50,
        top_n: int | None = 5,
        threshold: float | None = None,
        threshold_unit: ScoreUnit = "probability",
        faiss_index: str | None = "Flat",
        fusion: Fusion = "rrf",
        weights: Sequence[float] | None = None,
    ) -> TwoStageRetriever:
        """Index documents and return a retriever over them.

        Args:
            documents: Documents or texts; only ``page_content`` is searched.
            retriever: ``bm25``, ``dense`` or ``hybrid``.
            embedder: Embeddings of this package, a core embedder, or a model's name; BM25 loads none.
            reranker: A compressor with its own options, a core reranker, a model's name, or None for no second stage.
            top_k: Documents retrieved.
            top_n: Documents returned at most; None returns all that were retrieved.
            threshold: Reranked documents below it are left out; a compressor that is passed has its own.
            threshold_unit: What ``threshold`` is compared with.
            faiss_index: ``Flat`` is exact; None needs no FAISS.
            fusion: ``rrf`` or ``weighted``.
            weights: Of the dense stage and of BM25 in a hybrid; None counts both alike.

        Raises:
            InvalidInputError: ``documents`` holds something else, or an option cannot work.
            MissingExtraError: bm25s or FAISS is not installed.
            ModelError: A model cannot be loaded.
        """
        first_stage = FirstStageRetriever.from_documents(
            documents,
            retriever=retriever,
            embedder=embedder,
            top_k=top_k,
            faiss_index=faiss_index,
            fusion=fusion,
            weights=weights,
        )
        compressor = _compressor(reranker, top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
        return cls(first_stage=first_stage, compressor=compressor, top_n=top_n)

    @classmethod
    def from_vector_store(
        cls,
        store: VectorStore,
        *,
        reranker: RerankCompressor | Reranker | str | Path | None = _DEFAULT_RERANKER,
        top_k: int = 50,
        top_n: int | None = 5,
        threshold: float | None = None,
        threshold_unit: ScoreUnit = "probability",
        search_kwargs: dict[str, Any] | None = None,
    ) -> TwoStageRetriever:
        """Return a retriever over a vector store of any kind, with its own embeddings.

        Args:
            store: Holds the documents.
            reranker: See :meth:`from_documents`.
            top_k: Documents retrieved.
            top_n: See :meth:`from_documents`.
            threshold: See :meth:`from_documents`.
            threshold_unit: See :meth:`from_documents`.
            search_kwargs: What the store's search takes beside ``k``, such as a filter.

        Raises:
            InvalidInputError: An option cannot work.
            ModelError: The reranker cannot be loaded.
        """
        check_positive("top_k", top_k)
        first_stage = store.as_retriever(search_kwargs={**(search_kwargs or {}), "k": top_k})
        compressor = _compressor(reranker, top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
        return cls(first_stage=first_stage, compressor=compressor, top_n=top_n)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, top_n: int | None = None
    ) -> list[Document]:
        _check_query(query)
        limit = self._limit(top_n)
        found = _ranked(self.first_stage.invoke(query, config={"callbacks": run_manager.get_child()}))
        compressor = self._compressor_for(limit)
        if compressor is None or not found:
            return found[:limit]
        return compressor.compress_documents(found, query, callbacks=run_manager.get_child())

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, top_n: int | None = None
    ) -> list[Document]:
        _check_query(query)
        limit = self._limit(top_n)
        found = _ranked(await self.first_stage.ainvoke(query, config={"callbacks": run_manager.get_child()}))
        compressor = self._compressor_for(limit)
        if compressor is None or not found:
            return found[:limit]
        return await compressor.acompress_documents(found, query, callbacks=run_manager.get_child())

    def _limit(self, top_n: int | None) -> int | None:
        check_top_n(top_n)
        return self.top_n if top_n is None else top_n

    def _compressor_for(self, limit: int | None) -> RerankCompressor | None:
        if self.compressor is None or limit is None or limit == self.compressor.top_n:
            return self.compressor
        return self.compressor.model_copy(update={"top_n": limit})


def _compressor(
    reranker: RerankCompressor | Reranker | str | Path | None,
    *,
    top_n: int | None,
    threshold: float | None,
    threshold_unit: ScoreUnit,
) -> RerankCompressor | None:
    if threshold is not None and (reranker is None or isinstance(reranker, RerankCompressor)):
        owner = "there is no reranker" if reranker is None else "the compressor that was passed has its own"
        msg = f"threshold={threshold} cannot be used here: {owner}; leave it out, or name a reranking model"
        raise InvalidInputError(msg)
    if reranker is None or isinstance(reranker, RerankCompressor):
        # top_n=None means all that were retrieved, here as everywhere.
        return reranker if reranker is None or top_n else reranker.model_copy(update={"top_n": None})
    if isinstance(reranker, Reranker):
        return RerankCompressor.from_reranker(reranker, top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
    return RerankCompressor(model=reranker, top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)


def _check_query(query: object) -> None:
    if not isinstance(query, str) or not query.strip():
        msg = f"the query must be a text that is not blank, got {query!r}"
        raise InvalidInputError(msg)


def _ranked(found: Sequence[Document]) -> list[Document]:
    return [
        document
        if document.metadata.get("retrieval_rank") == rank
        else with_metadata(document, {"retrieval_rank": rank})
        for rank, document in enumerate(found, start=1)
    ]
