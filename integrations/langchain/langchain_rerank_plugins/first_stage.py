"""The core's first stages as a LangChain retriever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from pydantic import ConfigDict, PrivateAttr

from langchain_rerank_plugins.arguments import OWN, PipedRetriever, call_limit, checked_embedder
from langchain_rerank_plugins.embeddings import InstructionEmbeddings
from rerank_plugins import Embedder
from rerank_plugins.arguments import checked_call
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.fields import Count
from rerank_plugins.retrieval import FirstStage, Fusion, RetrieverName, build_first_stage
from rerank_plugins.retrieval.build import DEFAULT_EMBEDDER

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

    _index: FirstStage = PrivateAttr()
    _documents: dict[str, Document] = PrivateAttr()

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
        made._documents = {str(position): _document(one, position) for position, one in enumerate(_listed(documents))}
        made._index = build_first_stage(
            {key: document.page_content for key, document in made._documents.items()},
            retriever=retriever,
            embedder=model,
            faiss_index=faiss_index,
            fusion=fusion,
            weights=weights,
        )
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
        return self._found(self._made().search(query, top_k=self.top_k if limit is None else limit))

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
        return self._found(await self._made().asearch(query, top_k=self.top_k if limit is None else limit))

    def _made(self) -> FirstStage:
        try:
            return self._index
        except AttributeError as error:
            msg = f"this {type(self).__name__} has no documents; make it with {type(self).__name__}.from_documents(...)"
            raise InvalidInputError(msg) from error

    def _found(self, scores: Mapping[str, float]) -> list[Document]:
        return [
            with_metadata(self._documents[key], {"retrieval_score": score, "retrieval_rank": rank})
            for rank, (key, score) in enumerate(scores.items(), start=1)
        ]


def with_metadata(document: Document, added: Mapping[str, Any]) -> Document:
    """Return a copy of a document with more metadata."""
    return document.model_copy(update={"metadata": {**document.metadata, **added}})


def _listed(documents: Sequence[Document | str]) -> Sequence[Document | str]:
    if isinstance(documents, (str, bytes)) or not isinstance(documents, Sequence):
        msg = f"documents must be a list of documents, got {type(documents).__name__}; put a single one into a list"
        raise InvalidInputError(msg)
    return documents


def _document(one: object, position: int) -> Document:
    if isinstance(one, str):
        return Document(page_content=one)
    if isinstance(one, Document):
        return one
    msg = f"documents[{position}] must be a Document or a text, got {type(one).__name__}"
    raise InvalidInputError(msg)
