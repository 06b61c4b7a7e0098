"""What the retrievers take: each argument is turned into what is used, or refused with the way out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from langchain_core.documents import BaseDocumentCompressor
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableSerializable

from langchain_rerank_plugins.compressor import PIPE_HINT, BaseRerankCompressor, RerankCompressor
from langchain_rerank_plugins.cross_encoder import RerankCrossEncoder
from langchain_rerank_plugins.embeddings import InstructionEmbeddings
from rerank_plugins import Embedder, Reranker
from rerank_plugins.adapting import check_kind, checked_limits
from rerank_plugins.described import as_name, as_number
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.ranking.order import check_top_n
from rerank_plugins.types import ScoreUnit

__all__ = ["OWN", "AnyReranker", "PipedRetriever", "call_limit", "checked_embedder", "compressor_of", "second_stage"]

OWN = (
    "documents",
    "ids",
    "embedder",
    "reranker",
    "top_k",
    "top_n",
    "threshold",
    "threshold_unit",
    "store",
    "search_kwargs",
)
"""Arguments that are checked where they are used; the core checks the others, and refuses other names."""

AnyReranker = BaseRerankCompressor | RerankCrossEncoder | Reranker | str | Path


class NotPipedError(InvalidInputError, TypeError):
    """Two objects were joined by ``|`` that cannot be."""


class PipedRetriever(BaseRetriever):
    """A retriever that says what to write where a compressor is piped behind it."""

    def __or__(self, other: Any) -> RunnableSerializable[str, Any]:
        """Return a chain, or raise an error that is also a TypeError if ``other`` compresses documents."""
        if isinstance(other, BaseDocumentCompressor):
            msg = f"{type(self).__name__} | {type(other).__name__} cannot work: {PIPE_HINT}"
            raise NotPipedError(msg)
        return super().__or__(other)


def compressor_of(reranker: object) -> BaseRerankCompressor | None:
    """Return what reranks documents, or raise InvalidInputError for what cannot.

    Args:
        reranker: A compressor of this package, of any class, is returned as it is. A cross-encoder of this package
            keeps its options; a core reranker and a model's name get those of :class:`RerankCompressor`. None stays
            None.
    """
    if reranker is None or isinstance(reranker, BaseRerankCompressor):
        return reranker
    if isinstance(reranker, RerankCrossEncoder):
        return reranker.as_compressor()
    if isinstance(reranker, Reranker):
        return RerankCompressor.from_reranker(reranker)
    told = (
        "a compressor or a cross-encoder of this package, a rerank_plugins.Reranker, a model's name, or None. Wrap a "
        "model that another library has loaded with Reranker.from_loaded(...); another compressor goes into "
        "ContextualCompressionRetriever(base_compressor=..., base_retriever=...)"
    )
    check_kind("reranker", reranker, (str, Path), told=told)
    return RerankCompressor(model=str(reranker))


def second_stage(
    given: object, *, top_n: int | None, threshold: float | None, threshold_unit: ScoreUnit
) -> BaseRerankCompressor | None:
    """Return what reranks documents, with what a retriever was told about it.

    Args:
        given: What the caller passed as reranker; see :func:`compressor_of`.
        top_n: Documents returned at most; None returns all.
        threshold: None leaves what the reranker has.
        threshold_unit: What ``threshold`` is compared with.

    Raises:
        InvalidInputError: An option cannot work, or a reranker that was passed has a threshold of its own.
    """
    top_n, threshold = checked_limits(top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
    if threshold is not None and (given is None or isinstance(given, BaseRerankCompressor)):
        owner = "there is no reranker" if given is None else "the compressor that was passed has its own"
        msg = f"threshold={threshold} cannot be used here: {owner}; leave it out, or name a reranking model"
        raise InvalidInputError(msg)
    made = compressor_of(given)
    if made is None:
        return None
    changes = {} if threshold is None else {"threshold": threshold, "threshold_unit": threshold_unit}
    # top_n=None means all that were retrieved, here as everywhere.
    return made.with_settings(**changes, top_n=None) if changes or top_n is None else made


def checked_embedder(embedder: object) -> Embedder | str | Path:
    """Return a core embedder or a model's name, or raise InvalidInputError for anything else."""
    if isinstance(embedder, InstructionEmbeddings):
        return embedder.embedder
    told = (
        "embeddings of this package, a rerank_plugins.Embedder, or a model's name. With other embeddings, fill a "
        "vector store and call TwoStageRetriever.from_vector_store(store, ...)"
    )
    check_kind("embedder", embedder, (Embedder, str, Path), told=told)
    return embedder if isinstance(embedder, Embedder) else as_name(embedder)  # type: ignore[arg-type]


def call_limit(owner: BaseRetriever, name: str, value: int | None, k: int | None, others: Iterable[str]) -> int | None:
    """Return how many documents a call asks for; None leaves it to the retriever.

    Args:
        owner: The retriever that is called.
        name: What the option is called there; ``k`` is its name in LangChain's vector store retrievers.
        value: What was given under that name.
        k: What was given as ``k``.
        others: Names of further options of the call, of which there are none. ``verbose`` is LangChain's own.

    Raises:
        InvalidInputError: There are others, or no number of documents can be that.
    """
    unknown = next((one for one in others if one != "verbose"), None)
    if unknown is not None:
        msg = (
            f"a call of {type(owner).__name__} takes {name} or k beside the query and its config, not {unknown!r}; "
            "filters and other settings of a search are set where the retriever is made"
        )
        raise InvalidInputError(msg)
    if value is not None and k is not None and value != k:
        msg = f"{name}={value!r} and k={k!r} mean the same; give one of them"
        raise InvalidInputError(msg)
    limit: int | None = as_number(k if value is None else value)
    check_top_n(limit)
    return limit
