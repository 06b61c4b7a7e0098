"""Builds a first stage by its name: ``bm25``, ``dense``, ``hybrid`` or ``multi_vector``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from rerank_plugins.backends.handles import closed_on_error
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.embedder import Embedder
from rerank_plugins.embedding.kept.store import TokenVectorStore
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval.bm25 import BM25Index
from rerank_plugins.retrieval.dense import DenseIndex
from rerank_plugins.retrieval.first_stage import FirstStage
from rerank_plugins.retrieval.hybrid import Fusion, HybridIndex
from rerank_plugins.retrieval.multi_vector import MultiVectorIndex

__all__ = ["DEFAULT_EMBEDDER", "AnyTokenVectorStore", "RetrieverName", "build_first_stage", "check_retriever"]

RetrieverName = Literal["bm25", "dense", "hybrid", "multi_vector"]

AnyTokenVectorStore = TokenVectorStore | str | Path
"""A store of token vectors, or its folder."""

DEFAULT_EMBEDDER = "BAAI/bge-m3"


@checked_call(unchecked=("texts",))
def build_first_stage(
    texts: Mapping[str, str],
    *,
    retriever: RetrieverName = "hybrid",
    embedder: Embedder | str | Path = DEFAULT_EMBEDDER,
    faiss_index: str | None = "Flat",
    fusion: Fusion = "rrf",
    weights: Sequence[float] | None = None,
    vectors: AnyTokenVectorStore | None = None,
) -> FirstStage:
    """Return a first stage over texts.

    Args:
        texts: Document id to text.
        retriever: ``bm25`` (words), ``dense`` (vectors), ``hybrid`` (both, fused), or ``multi_vector`` (a ColBERT's
            token vectors).
        embedder: Makes the vectors: an object or a model's name; ``bm25`` needs none and does not load it.
        faiss_index: See :class:`~rerank_plugins.retrieval.dense.DenseIndex`, or
            :class:`~rerank_plugins.retrieval.multi_vector.MultiVectorIndex`, where ``Flat`` compares with all
            documents exactly too, and without FAISS.
        fusion: See :class:`~rerank_plugins.retrieval.hybrid.HybridIndex`.
        weights: Of the dense stage and of BM25 in a hybrid, in this order; None weighs both the same.
        vectors: Store of token vectors, or its folder, for ``multi_vector``: documents that are in it are not embedded
            again, the others are added; None keeps none. A reranker may take its vectors from the same one.

    Raises:
        InvalidInputError: There is no such retriever, or an option cannot work.
        MissingExtraError: bm25s or FAISS is not installed.
        ModelError: The embedder cannot be loaded.
    """
    check_retriever(retriever)
    if vectors is not None and retriever != "multi_vector":
        msg = f"vectors keeps token vectors, and {retriever!r} has none; leave it out, or use 'multi_vector'"
        raise InvalidInputError(msg)
    if retriever != "hybrid" and (weights is not None or fusion != "rrf"):
        msg = f"fusion and weights are for the stages of a hybrid, and {retriever!r} has one; leave them out"
        raise InvalidInputError(msg)
    if retriever == "bm25":
        return BM25Index(texts)
    model = embedder if isinstance(embedder, Embedder) else Embedder(embedder)
    with closed_on_error([] if model is embedder else [model]):
        if retriever == "multi_vector":
            # Over single tokens a flat index would only find candidates, as slowly as all documents are compared.
            store = TokenVectorStore(vectors) if isinstance(vectors, (str, Path)) else vectors
            faiss = None if faiss_index == "Flat" else faiss_index
            return MultiVectorIndex(texts, model, faiss_index=faiss, vectors=store)
        dense = DenseIndex(texts, model, faiss_index=faiss_index)
        if retriever == "dense":
            return dense
        return HybridIndex([dense, BM25Index(texts)], fusion=fusion, weights=weights)


def check_retriever(name: object) -> None:
    """Raise InvalidInputError unless there is a retriever of that name."""
    if name not in get_args(RetrieverName):
        msg = f"retriever must be one of {', '.join(map(repr, get_args(RetrieverName)))}, got {name!r}"
        raise InvalidInputError(msg)
