"""The core's first stages as a LangChain retriever."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from pydantic import ConfigDict, PrivateAttr

from langchain_rerank_plugins.arguments import OWN, PipedRetriever, call_limit, checked_embedder
from langchain_rerank_plugins.compressor import BaseRerankCompressor
from langchain_rerank_plugins.embeddings import InstructionEmbeddings
from langchain_rerank_plugins.saved import check_new, listed, open_folder, opened_stage, with_ids, write
from rerank_plugins import Embedder
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.fields import Count
from rerank_plugins.retrieval import FirstStage, Fusion, RetrieverName, build_first_stage
from rerank_plugins.retrieval.attached import Attached
from rerank_plugins.retrieval.build import DEFAULT_EMBEDDER
from rerank_plugins.retrieval.first_stage import AddingLock, grown_stage
from rerank_plugins.retrieval.saved import SavedRetriever, told_if_damaged

__all__ = ["FirstStageRetriever"]


class FirstStageRetriever(PipedRetriever):
    """Retrieves with BM25, with vectors in FAISS, or with both fused; made by :meth:`from_documents`.

    The documents returned are copies. Their metadata gets ``retrieval_score`` and ``retrieval_rank`` (1 is best).
    ``retriever.invoke(query, top_k=3)``, or ``k=3``, returns at most three, for this call.
    """

    model_config = ConfigDict(
        extra="forbid", arbitrary_types_allowed=True, use_attribute_docstrings=True, validate_assignment=True
    )

    top_k: Count = 50
    """Documents returned at most."""

    # One value, so that a search never sees documents of one moment with an index of another.
    _corpus: tuple[FirstStage, dict[str, Document]] = PrivateAttr()
    _adding: AddingLock = PrivateAttr(default_factory=AddingLock)

    @classmethod
    @checked_call(own=OWN)
    def from_documents(
        cls,
        documents: Sequence[Document | str],
        *,
        retriever: RetrieverName = "hybrid",
        embedder: InstructionEmbeddings | Embedder | str | Path = DEFAULT_EMBEDDER,
        top_k: int = 50,
        faiss_index: str | None = "Flat",
        fusion: Fusion = "rrf",
        weights: Sequence[float] | None = None,
    ) -> FirstStageRetriever:
        """Index documents; the options are those of :func:`rerank_plugins.retrieval.build_first_stage`.

        Args:
            documents: Documents or texts; only ``page_content`` is searched.
            retriever: ``bm25``, ``dense`` or ``hybrid``.
            embedder: Embeddings of this package, a core embedder, or a model's name.
            top_k: Documents returned at most.
            faiss_index: ``Flat`` is exact; None needs no FAISS.
            fusion: ``rrf`` or ``weighted``.
            weights: Of the dense stage and of BM25 in a hybrid; None counts both alike.

        Raises:
            InvalidInputError: ``documents`` holds something else, or an option cannot work.
            MissingExtraError: bm25s or FAISS is not installed.
            ModelError: The embedder cannot be loaded.
        """
        made, model = cls(top_k=top_k), checked_embedder(embedder)
        by_position = {str(position): one for position, one in enumerate(listed(documents))}
        first_stage = build_first_stage(
            {key: document.page_content for key, document in by_position.items()},
            retriever=retriever,
            embedder=model,
            faiss_index=faiss_index,
            fusion=fusion,
            weights=weights,
        )
        made._corpus = (first_stage, by_position)
        return made

    @checked_call(own=OWN)
    def add_documents(self, documents: Sequence[Document | str], ids: Sequence[str] | None = None) -> list[str]:
        """Index more documents and return their ids. Calls that search meanwhile find all of them or none.

        Dense stages embed the new texts only; BM25 indexes all again, so add many at a time.

        Args:
            documents: Documents or texts.
            ids: One for each; None takes the documents' own, and makes new ones where they have none.

        Raises:
            InvalidInputError: ``documents`` or ``ids`` holds something else, or an id is there already.
            ScoringError: The embedder returned NaN or infinity.
        """
        added = with_ids(listed(documents), ids)
        with self._adding:
            first_stage, known = self._made()
            check_new(added, known.values())
            if added:
                new = {str(position): one for position, one in enumerate(added, start=len(known))}
                texts = {key: one.page_content for key, one in new.items()}
                self._corpus = (grown_stage(first_stage, texts), {**known, **new})
        return [str(one.id) for one in added]

    @checked_call(own=OWN)
    async def aadd_documents(self, documents: Sequence[Document | str], ids: Sequence[str] | None = None) -> list[str]:
        """Do what :meth:`add_documents` does, without blocking the event loop."""
        return await asyncio.to_thread(self.add_documents, documents, ids)

    @checked_call()
    def save(self, folder: str | Path) -> Path:
        """Write documents, vectors and settings into a folder, and return it.

        The folder is complete or not there at all, and holds nothing that runs code. The embedder is kept by name
        and settings. The core's ``TwoStageRetriever.load`` reads it too.

        Args:
            folder: New, empty, or an earlier saved retriever, which is replaced.

        Raises:
            InvalidInputError: A document's metadata is not plain JSON, or the folder cannot be written.
        """
        return self._saved(folder)

    @classmethod
    @checked_call(own=OWN)
    def load(
        cls, folder: str | Path, *, embedder: InstructionEmbeddings | Embedder | str | Path | None = None
    ) -> FirstStageRetriever:
        """Return a retriever that :meth:`save` wrote, or the first stage of a ``TwoStageRetriever``.

        Args:
            folder: The folder. No text is embedded again.
            embedder: Embeddings of this package, a core embedder, or a model's name; None opens the one that the
                vectors were made with. Another one is refused.

        Raises:
            InvalidInputError: The folder holds something else or is damaged, or the embedder is another one.
            ModelError: The embedder cannot be loaded.
        """
        return cls._restored(*open_folder(folder), embedder)

    def _saved(
        self, folder: str | Path, *, top_n: int | None = None, reranker: BaseRerankCompressor | None = None
    ) -> Path:
        first_stage, documents = self._made()
        return write(folder, first_stage, documents, top_k=self.top_k, top_n=top_n, reranker=reranker)

    @classmethod
    def _restored(cls, saved: SavedRetriever, attached: Attached, embedder: object) -> FirstStageRetriever:
        first_stage, documents, top_k = opened_stage(saved, attached, embedder)
        with told_if_damaged(saved.folder):
            made = cls(top_k=top_k)
        made._corpus = (first_stage, documents)
        return made

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        top_k: int | None = None,
        k: int | None = None,
        **others: Any,
    ) -> list[Document]:
        limit = call_limit(self, "top_k", top_k, k, others)
        first_stage, documents = self._made()
        return _found(first_stage.search(query, top_k=self.top_k if limit is None else limit), documents)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        top_k: int | None = None,
        k: int | None = None,
        **others: Any,
    ) -> list[Document]:
        limit = call_limit(self, "top_k", top_k, k, others)
        first_stage, documents = self._made()
        return _found(await first_stage.asearch(query, top_k=self.top_k if limit is None else limit), documents)

    def _made(self) -> tuple[FirstStage, dict[str, Document]]:
        try:
            return self._corpus
        except AttributeError as error:
            msg = f"this {type(self).__name__} has no documents; make it with {type(self).__name__}.from_documents(...)"
            raise InvalidInputError(msg) from error


def with_metadata(document: Document, added: Mapping[str, Any]) -> Document:
    """Return a copy of a document with more metadata."""
    return document.model_copy(update={"metadata": {**document.metadata, **added}})


def _found(scores: Mapping[str, float], documents: Mapping[str, Document]) -> list[Document]:
    return [
        with_metadata(documents[key], {"retrieval_score": score, "retrieval_rank": rank})
        for rank, (key, score) in enumerate(scores.items(), start=1)
    ]
