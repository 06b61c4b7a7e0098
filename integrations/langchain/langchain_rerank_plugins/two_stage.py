"""Two stages in one LangChain retriever: retrieve many, rerank them, keep the best."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import RetrieverLike
from langchain_core.vectorstores import VectorStore
from pydantic import field_validator, model_validator

from langchain_rerank_plugins.compressor import BaseRerankCompressor
from langchain_rerank_plugins.first_stage import FirstStageRetriever, GrowingRetriever
from langchain_rerank_plugins.parts import OWN, PARTS, AnyEmbedder, AnyReranker, PipedRetriever
from langchain_rerank_plugins.scored import with_metadata
from rerank_plugins.adapters.arguments import DEFAULT_RERANKER, DEFAULT_TOP_N, call_limit, check_text_query, own_stage
from rerank_plugins.adapters.checks import check_kind, check_list, checked_count
from rerank_plugins.adapters.fields import Count
from rerank_plugins.adapters.metadata import RETRIEVAL_RANK_KEY
from rerank_plugins.adapters.retrievers import closed_unless_passed
from rerank_plugins.adapters.saved import open_folder
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval import Fusion, RetrieverName
from rerank_plugins.retrieval.build import DEFAULT_EMBEDDER, AnyTokenVectorStore
from rerank_plugins.types import ScoreUnit

__all__ = ["TwoStageRetriever"]

_OLD_NAME = "the compressor of a TwoStageRetriever is called reranker now; the old name will go in a later version"


class TwoStageRetriever(GrowingRetriever):
    """Retrieves with any retriever, and reranks what it finds with any model that the core knows.

    Results are copies with the metadata of :class:`~langchain_rerank_plugins.RerankCompressor`, and with
    ``retrieval_rank`` (1 is the first stage's best). ``retrieval_score`` is there too where the first stage tells
    scores: one made by :meth:`from_documents` does, LangChain's vector store retrievers do not. With
    ``keep_scores=False`` of the reranker neither stage writes any.

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
        return PARTS.reranker_of(reranker)

    @classmethod
    @checked_call(unchecked=OWN)
    def from_documents(
        cls,
        documents: Sequence[Document | str],
        *,
        retriever: RetrieverName = "hybrid",
        embedder: AnyEmbedder = DEFAULT_EMBEDDER,
        reranker: AnyReranker | None = DEFAULT_RERANKER,
        top_k: int = 50,
        top_n: int | None = DEFAULT_TOP_N,
        threshold: float | None = None,
        threshold_unit: ScoreUnit = "probability",
        faiss_index: str | None = "Flat",
        fusion: Fusion = "rrf",
        weights: Sequence[float] | None = None,
        vectors: AnyTokenVectorStore | None = None,
    ) -> TwoStageRetriever:
        """Index documents and return a retriever over them.

        The first stage has the options of :meth:`FirstStageRetriever.from_documents`, and raises what that does.
        ``reranker`` is what the constructor takes, or a model's name; None has no second stage. ``top_n=None`` returns
        all ``top_k`` documents that were retrieved. Reranked ones below ``threshold``, in ``threshold_unit``, are left
        out; a compressor that is passed has a threshold of its own, and its own ``top_n`` where none is given here.
        """
        made, limit = PARTS.second_stage(reranker, top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
        options: dict[str, Any] = {"faiss_index": faiss_index, "fusion": fusion, "weights": weights, "vectors": vectors}
        with closed_unless_passed(made, reranker):
            first_stage = FirstStageRetriever.from_documents(
                documents, retriever=retriever, embedder=embedder, top_k=top_k, **options
            )
        return cls(first_stage=first_stage, reranker=made, top_n=limit)

    @classmethod
    @checked_call(unchecked=OWN)
    def from_vector_store(
        cls,
        store: VectorStore,
        *,
        reranker: AnyReranker | None = DEFAULT_RERANKER,
        top_k: int = 50,
        top_n: int | None = DEFAULT_TOP_N,
        threshold: float | None = None,
        threshold_unit: ScoreUnit = "probability",
        search_kwargs: dict[str, Any] | None = None,
    ) -> TwoStageRetriever:
        """Return a retriever over a vector store of any kind, with its own embeddings.

        ``search_kwargs`` is what the store's search takes beside ``k``, such as a filter. The other options are those
        of :meth:`from_documents`.

        Raises:
            InvalidInputError: An option cannot work.
            ModelError: The reranker cannot be loaded.
        """
        top_k = checked_count("top_k", top_k)
        check_kind("store", store, VectorStore, expected="a vector store of LangChain")
        check_kind("search_kwargs", search_kwargs, (dict, type(None)), expected="a dict or None")
        made, limit = PARTS.second_stage(reranker, top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
        first_stage = store.as_retriever(search_kwargs={**(search_kwargs or {}), "k": top_k})
        return cls(first_stage=first_stage, reranker=made, top_n=limit)

    @classmethod
    @checked_call(unchecked=OWN)
    def load(
        cls,
        folder: str | Path,
        *,
        reranker: AnyReranker | None = None,
        embedder: AnyEmbedder | None = None,
    ) -> TwoStageRetriever:
        """Return a retriever that :meth:`save` wrote. Indexes are built again; no text is embedded again.

        Args:
            folder: The folder.
            reranker: As in :meth:`from_documents`, with the saved ``top_n`` and threshold for one that is no
                compressor; None opens the one that was saved, if any.
            embedder: See :meth:`FirstStageRetriever.load`, which raises the same errors.

        Raises:
            InvalidInputError: The reranker that was saved can be opened by who made it only.
        """
        opened = open_folder(PARTS, folder)
        made, top_n = opened.second_stage(reranker)
        with closed_unless_passed(made, reranker):
            first_stage = FirstStageRetriever._of(opened, embedder)
        return cls(first_stage=first_stage, reranker=made, top_n=top_n)

    @property
    def compressor(self) -> BaseRerankCompressor | None:
        """The old name of ``reranker``; deprecated."""
        warnings.warn(_OLD_NAME, DeprecationWarning, stacklevel=2)
        return self.reranker

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        limit, reranker = self._call_options(query, options)
        first_stage = self._first_stage_for(reranker)
        found = first_stage.invoke(query, config={"callbacks": run_manager.get_child()})
        found = _ranked(found, keep_scores=_keeps_scores(reranker or first_stage))
        if reranker is None or not found:
            return found[:limit]
        return reranker.compress_documents(found, query, callbacks=run_manager.get_child())

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        limit, reranker = self._call_options(query, options)
        first_stage = self._first_stage_for(reranker)
        found = await first_stage.ainvoke(query, config={"callbacks": run_manager.get_child()})
        found = _ranked(found, keep_scores=_keeps_scores(reranker or first_stage))
        if reranker is None or not found:
            return found[:limit]
        return await reranker.acompress_documents(found, query, callbacks=run_manager.get_child())

    def _call_options(self, query: str, options: Mapping[str, Any]) -> tuple[int | None, BaseRerankCompressor | None]:
        """Return how many documents a call asks for, and what reranks them."""
        check_text_query(query)
        limit = call_limit(self, "top_n", options)
        reranker = None if self.reranker is None else self.reranker._for_call(limit, default=self.top_n)
        return self.top_n if limit is None else limit, reranker

    def _first_stage_for(self, reranker: BaseRerankCompressor | None) -> RetrieverLike:
        """Return what finds the candidates: as the reranker's, a first stage of this package keeps no scores."""
        first_stage = self.first_stage
        if reranker is None or reranker.keep_scores or not isinstance(first_stage, PipedRetriever):
            return first_stage
        has_option = "keep_scores" in type(first_stage).model_fields
        return first_stage.model_copy(update={"keep_scores": False}) if has_option else first_stage

    def _indexed(self, otherwise: str) -> FirstStageRetriever:
        return own_stage(self.first_stage, FirstStageRetriever, otherwise=otherwise)

    def _kept(self) -> dict[str, Any]:
        return {"top_n": self.top_n, "reranker": self.reranker}


def _keeps_scores(stage: object) -> bool:
    return bool(getattr(stage, "keep_scores", True))


def _ranked(found: Sequence[Document], *, keep_scores: bool) -> list[Document]:
    expected = "a Document, as a retriever returns them"
    check_list("first_stage.invoke(query)", found, Document, plural="Document", expected=expected)
    if not keep_scores:
        return list(found)
    return [
        one if one.metadata.get(RETRIEVAL_RANK_KEY) == rank else with_metadata(one, {RETRIEVAL_RANK_KEY: rank})
        for rank, one in enumerate(found, start=1)
    ]
