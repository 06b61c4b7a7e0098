"""What both retrievers take, and how LangChain's documents are indexed, piped and kept in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableSerializable
from pydantic import ConfigDict

from langchain_rerank_plugins import models
from langchain_rerank_plugins.compressor import PIPE_HINT, BaseRerankCompressor, RerankCompressor
from langchain_rerank_plugins.cross_encoder import RerankCrossEncoder
from langchain_rerank_plugins.embeddings import InstructionEmbeddings
from langchain_rerank_plugins.scored import with_metadata
from rerank_plugins import Embedder, Reranker
from rerank_plugins.adapters.arguments import OWN_ARGUMENTS, settled_ids
from rerank_plugins.adapters.checks import check_list
from rerank_plugins.adapters.retrievers import RetrieverParts
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval.attached import as_json

__all__ = ["OWN", "PARTS", "AnyEmbedder", "AnyReranker", "PipedRetriever", "listed", "with_ids"]

OWN = (*OWN_ARGUMENTS, "ids", "store", "search_kwargs")

AnyReranker = BaseRerankCompressor | RerankCrossEncoder | Reranker | str | Path
AnyEmbedder = InstructionEmbeddings | Embedder | str | Path


class NotPipedError(InvalidInputError, TypeError):
    """Two objects were joined by ``|`` that cannot be."""


class PipedRetriever(BaseRetriever):
    """A retriever with strict options that says what to write where a compressor is piped behind it."""

    model_config = ConfigDict(
        extra="forbid", arbitrary_types_allowed=True, use_attribute_docstrings=True, validate_assignment=True
    )

    def __or__(self, other: Any) -> RunnableSerializable[str, Any]:
        """Return a chain, or raise an error that is also a TypeError if ``other`` compresses documents."""
        if isinstance(other, BaseDocumentCompressor):
            msg = f"{type(self).__name__} | {type(other).__name__} cannot work: {PIPE_HINT}"
            raise NotPipedError(msg)
        return super().__or__(other)


class _Parts(RetrieverParts[BaseRerankCompressor, Document]):
    def reranker_of(self, reranker: object) -> BaseRerankCompressor | None:
        return super().reranker_of(reranker.as_compressor() if isinstance(reranker, RerankCrossEncoder) else reranker)


def _entry(key: str, document: Document) -> dict[str, Any]:
    owner = f"document {key if document.id is None else document.id!r}"
    if type(document) is not Document:
        msg = f"{owner} is a {type(document).__name__}, and only plain documents can be saved; index Document(...)"
        raise InvalidInputError(msg)
    metadata = as_json(document.metadata, owner=f"the metadata of {owner}")
    return {"page_content": document.page_content, "metadata": metadata, "id": document.id}


PARTS = _Parts(
    name="langchain",
    base=BaseRerankCompressor,
    any_model=RerankCompressor,
    classes={"RerankCompressor": RerankCompressor, **{name: getattr(models, name) for name in models.__all__}},
    embeddings=InstructionEmbeddings,
    accepted="a compressor or a cross-encoder",
    passed="compressor",
    other_reranker=(
        "another compressor goes into ContextualCompressionRetriever(base_compressor=..., base_retriever=...)"
    ),
    other_embedder=(
        "embeddings",
        "With other embeddings, fill a vector store and call TwoStageRetriever.from_vector_store(store, ...)",
    ),
    text_of=lambda document: document.page_content,
    entry_of=_entry,
    item_of=lambda entry: Document(**entry),
)


def listed(documents: object) -> list[Document]:
    """Return documents and texts as documents of their own, or raise InvalidInputError for anything else."""
    check_list("documents", documents, (Document, str), plural="documents", expected="a Document or a text")
    # What was indexed stays as it was, whatever becomes of the caller's object.
    return [
        Document(page_content=one) if isinstance(one, str) else with_metadata(one, {})
        for one in documents  # type: ignore[attr-defined]
    ]


def with_ids(documents: Sequence[Document], ids: object) -> list[Document]:
    """Return documents that have ids: those given, else their own, else new ones."""
    settled = settled_ids(ids, own=[one.id for one in documents])
    return [one.model_copy(update={"id": key}) for one, key in zip(documents, settled, strict=True)]
