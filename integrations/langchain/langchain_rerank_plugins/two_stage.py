"""Two stages in one LangChain retriever: retrieve many, rerank them, keep the best."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import RetrieverLike
from langchain_core.vectorstores import VectorStore
from pydantic import ConfigDict, field_validator, model_validator

from langchain_rerank_plugins.arguments import (
    OWN,
    AnyReranker,
    PipedRetriever,
    call_limit,
    compressor_of,
    second_stage,
)
from langchain_rerank_plugins.compressor import BaseRerankCompressor
from langchain_rerank_plugins.embeddings import InstructionEmbeddings
from langchain_rerank_plugins.first_stage import FirstStageRetriever, with_metadata
from langchain_rerank_plugins.saved import open_folder, opened_compressor
from rerank_plugins import Embedder
from rerank_plugins.adapting import check_kind, checked_count, stand_in
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.fields import Count
from rerank_plugins.retrieval import Fusion, RetrieverName
from rerank_plugins.retrieval.build import DEFAULT_EMBEDDER
from rerank_plugins.retrieval.saved import told_if_damaged
from rerank_plugins.types import ScoreUnit

__all__ = ["TwoStageRetriever"]

_DEFAULT_RERANKER = "BAAI/bge-reranker-v2-m3"
_OLD_NAME = "the compressor of a TwoStageRetriever is called reranker now; the old name will go in a later version"


class TwoStageRetriever(PipedRetriever):
    """Retrieves with any retriever, and reranks what it finds with any model that the core knows.

    Results are copies with the metadata of :class:`~langchain_rerank_plugins.RerankCompressor`, and with
    ``retrieval_rank`` (1 is the first stage's best). ``retrieval_score`` is there too where the first stage tells
    scores: one made by :meth:`from_documents` does, LangChain's vector store retrievers do not.

    ``retriever.invoke(query, top_n=3)`` returns at most three, for this call; ``k`` is another name for it, which
    LangChain's vector store retrievers have. Other settings for one call: ``with retriever.reranker.using(...)``.

    In traces both stages are children of this retriever's run. One object may be used by any number of threads
    and event loops.

    Example:
        >>> retriever = TwoStageRetriever.from_documents(
        ...     ["Berlin", "Paris is the capital."], embedder="mini", reranker="mini", top_k=2, top_n=1
        ... )
        >>> retriever.invoke("capital of France")[0].page_content
        'Paris is the capital.'
    """

    model_config = ConfigDict(
        extra="forbid", arbitrary_types_allowed=True, use_attribute_docstrings=True, validate_assignment=True
    )

    first_stage: RetrieverLike
    """Finds the candidates, as many as it is set to."""

    reranker: BaseRerankCompressor | None = None
    """Reranks them: a compressor of this package, of any class and with its own options, a cross-encoder of this
    package, a core reranker, or a model's name. None returns the first stage's order."""

    top_n: Count | None = None
    """Documents returned at most; None leaves it to the reranker (5, unless it was told), and without one returns
    all."""

    @model_validator(mode="before")
    @classmethod
    def _old_name(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "compressor" not in data:
            return data
        if "reranker" in data:
            msg = "compressor is the old name of reranker; give reranker alone"
            raise InvalidInputError(msg)
        # The frames between are those of pydantic and LangChain.
        warnings.warn(_OLD_NAME, DeprecationWarning, stacklevel=4)
        return {**{name: value for name, value in data.items() if name != "compressor"}, "reranker": data["compressor"]}

    @field_validator("reranker", mode="before")
    @classmethod
    def _any_reranker(cls, reranker: Any) -> Any:
        return compressor_of(reranker)

    @classmethod
    @checked_call(own=OWN)
    def from_documents(
        cls,
        documents: Sequence[Document | str],
        *,
        retriever: RetrieverName = "hybrid",
        embedder: InstructionEmbeddings | Embedder | str | Path = DEFAULT_EMBEDDER,
        reranker: AnyReranker | None = _DEFAULT_RERANKER,
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
            reranker: A compressor of any class with its own options, a cross-encoder of this package, a core reranker,
                a model's name, or None for no second stage.
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
        made = second_stage(reranker, top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
        first_stage = FirstStageRetriever.from_documents(
            documents,
            retriever=retriever,
            embedder=embedder,
            top_k=top_k,
            faiss_index=faiss_index,
            fusion=fusion,
            weights=weights,
        )
        return cls(first_stage=first_stage, reranker=made, top_n=top_n)

    @classmethod
    @checked_call(own=OWN)
    def from_vector_store(
        cls,
        store: VectorStore,
        *,
        reranker: AnyReranker | None = _DEFAULT_RERANKER,
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
        top_k = checked_count("top_k", top_k)
        check_kind("store", store, VectorStore, told="a vector store of LangChain")
        check_kind("search_kwargs", search_kwargs, (dict, type(None)), told="a dict or None")
        made = second_stage(reranker, top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
        first_stage = store.as_retriever(search_kwargs={**(search_kwargs or {}), "k": top_k})
        return cls(first_stage=first_stage, reranker=made, top_n=top_n)

    @checked_call(own=OWN)
    def add_documents(self, documents: Sequence[Document | str], ids: Sequence[str] | None = None) -> list[str]:
        """Index more documents, as :meth:`FirstStageRetriever.add_documents` does, and return their ids.

        Raises:
            InvalidInputError: As there, or the first stage is a retriever of another kind.
            ScoringError: The embedder returned NaN or infinity.
        """
        return self._own_stage("documents cannot be added to it here; add them to its store").add_documents(
            documents, ids
        )

    @checked_call(own=OWN)
    async def aadd_documents(self, documents: Sequence[Document | str], ids: Sequence[str] | None = None) -> list[str]:
        """Do what :meth:`add_documents` does, without blocking the event loop."""
        return await asyncio.to_thread(self.add_documents, documents, ids)

    @checked_call()
    def save(self, folder: str | Path) -> Path:
        """Write documents, vectors and settings into a folder, as :meth:`FirstStageRetriever.save` does.

        The reranker is kept by its class and options, without where it ran, nor what its files may do (pickles,
        remote code).

        Raises:
            InvalidInputError: As there, or the first stage is a retriever of another kind.
        """
        first_stage = self._own_stage("it cannot be saved here; save its store, and make this retriever over it again")
        return first_stage._saved(folder, top_n=self.top_n, reranker=self.reranker)

    @classmethod
    @checked_call(own=OWN)
    def load(
        cls,
        folder: str | Path,
        *,
        reranker: AnyReranker | None = None,
        embedder: InstructionEmbeddings | Embedder | str | Path | None = None,
    ) -> TwoStageRetriever:
        """Return a retriever that :meth:`save` wrote. Indexes are built again; no text is embedded again.

        Args:
            folder: The folder.
            reranker: As in :meth:`from_documents`, with the saved ``top_n`` and threshold for one that is no
                compressor; None opens the one that was saved, if any.
            embedder: See :meth:`FirstStageRetriever.load`.

        Raises:
            InvalidInputError: The folder holds something else or is damaged, the embedder is another one, or the
                reranker that was saved can be opened by who made it only.
            ModelError: A model cannot be loaded.
        """
        saved, attached = open_folder(folder)
        top_n = attached.settings.get("top_n")
        if reranker is None:
            made = opened_compressor(saved, attached.settings.get("reranker"))
        elif isinstance(reranker, BaseRerankCompressor):
            made = reranker
        else:
            with told_if_damaged(saved.folder):
                limits = {name: saved.selection[name] for name in ("top_n", "threshold", "threshold_unit")}
            made = second_stage(reranker, **limits)
            top_n = limits["top_n"]
        first_stage = FirstStageRetriever._restored(saved, attached, embedder)
        with told_if_damaged(saved.folder):
            return cls(first_stage=first_stage, reranker=made, top_n=top_n)

    @property
    def compressor(self) -> BaseRerankCompressor | None:
        """The old name of ``reranker``; deprecated."""
        warnings.warn(_OLD_NAME, DeprecationWarning, stacklevel=2)
        return self.reranker

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        top_n: int | None = None,
        k: int | None = None,
        **others: Any,
    ) -> list[Document]:
        limit = self._limit(query, top_n, k, others)
        found = _ranked(self.first_stage.invoke(query, config={"callbacks": run_manager.get_child()}))
        reranker = self._reranker_for(limit)
        if reranker is None or not found:
            return found[: self.top_n if limit is None else limit]
        return reranker.compress_documents(found, query, callbacks=run_manager.get_child())

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        top_n: int | None = None,
        k: int | None = None,
        **others: Any,
    ) -> list[Document]:
        limit = self._limit(query, top_n, k, others)
        found = _ranked(await self.first_stage.ainvoke(query, config={"callbacks": run_manager.get_child()}))
        reranker = self._reranker_for(limit)
        if reranker is None or not found:
            return found[: self.top_n if limit is None else limit]
        return await reranker.acompress_documents(found, query, callbacks=run_manager.get_child())

    def _own_stage(self, otherwise: str) -> FirstStageRetriever:
        if isinstance(self.first_stage, FirstStageRetriever):
            return self.first_stage
        msg = f"the first stage is a {type(self.first_stage).__name__}, made elsewhere: {otherwise}"
        raise InvalidInputError(msg)

    def _limit(self, query: object, top_n: int | None, k: int | None, others: Mapping[str, Any]) -> int | None:
        _check_query(query)
        return call_limit(self, "top_n", top_n, k, others)

    def _reranker_for(self, limit: int | None) -> BaseRerankCompressor | None:
        """Return what reranks a call that asks for ``limit`` documents; None asks for nothing."""
        if self.reranker is None:
            return None
        current = stand_in(self.reranker)
        if limit is None and current.top_n == self.reranker.top_n:
            limit = self.top_n
        if limit is None or limit == current.top_n:
            return current
        return current.with_settings(top_n=limit)


def _check_query(query: object) -> None:
    if not isinstance(query, str) or not query.strip():
        got = "a blank one" if isinstance(query, str) else type(query).__name__
        msg = f"the query must be a text that is not blank, got {got}"
        raise InvalidInputError(msg)


def _ranked(found: Sequence[Document]) -> list[Document]:
    return [
        document
        if document.metadata.get("retrieval_rank") == rank
        else with_metadata(document, {"retrieval_rank": rank})
        for rank, document in enumerate(found, start=1)
    ]
