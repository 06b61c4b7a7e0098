"""First-stage retrieval with a bi-encoder: cosine similarity of vectors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_texts
from rerank_plugins.retrieval.first_stage import best_first, check_new_ids, check_search, check_texts_by_id

__all__ = [
    "DenseIndex",
    "check_same_length",
    "embed_texts",
    "faiss_built",
    "faiss_grown",
    "search_parameters",
    "unit_rows",
]

_Vectors = npt.NDArray[np.float32]

_ROUNDING = 1e-6
"""What float32 leaves of a length of 1."""


class DenseIndex:
    """Finds documents by the cosine similarity of their vectors with the query's, in a FAISS index.

    Any number of threads may search one index.

    Args:
        texts: Document id to text; all are embedded here, unless ``vectors`` brings their vectors.
        embedder: Makes the vectors, with its own instructions for queries and documents.
        faiss_index: Argument of ``faiss.index_factory``: ``Flat`` searches exactly (``IndexFlatIP``),
            ``HNSW32`` or ``IVF256,Flat`` approximately and faster on large corpora. None searches exactly
            with numpy and needs no FAISS.
        n_probe: Lists of an IVF index that are searched, also of one behind a transform (``OPQ16,IVF1024,PQ16``) or
            before a refinement (``IVF1024,PQ16,RFlat``); other indexes have none.
        vectors: The documents' vectors, in the order of ``texts``, if they exist already. Shape: (n, dim).
        batch_size: Documents embedded per call.
        advance: Called with the number of documents after each call, for a progress bar.

    Raises:
        InvalidInputError: ``texts`` holds something else, the vectors do not fit it or are not finite, or FAISS knows
            no such index.
        MissingExtraError: FAISS is not installed.
    """

    @checked_call(unchecked=("texts",))
    def __init__(
        self,
        texts: Mapping[str, str],
        embedder: Embedder,
        *,
        faiss_index: str | None = "Flat",
        n_probe: Count = 16,
        vectors: _Vectors | None = None,
        batch_size: Count = 64,
        advance: Callable[[int], object] | None = None,
    ) -> None:
        checked = check_texts_by_id(texts)
        self._ids = list(checked)
        self._embedder, self._faiss_index, self._batch_size = embedder, faiss_index, batch_size
        self._n_probe = n_probe
        faiss = None if faiss_index is None else import_extra("faiss", extra="retrieval")
        if vectors is None:
            vectors = embed_texts(list(checked.values()), embedder, batch_size=batch_size, advance=advance)
        elif vectors.ndim != 2 or len(vectors) != len(self._ids):
            msg = f"{len(self._ids)} texts need vectors of shape ({len(self._ids)}, dim), got {vectors.shape}"
            raise InvalidInputError(msg)
        elif not np.isfinite(vectors).all():
            msg = "vectors holds NaN or infinity, whose cosines would be no numbers; embed the texts again"
            raise InvalidInputError(msg)
        self._vectors = unit_rows(vectors)
        self._faiss = None if faiss is None or not self._ids else faiss_built(faiss, str(faiss_index), self._vectors)

    @checked_call()
    def search(self, query: str, *, top_k: int) -> dict[str, float]:
        """Return the ``top_k`` documents nearest to the query, best first; ties keep the corpus' order.

        If documents tie at the last rank, FAISS decides which one is kept.

        Raises:
            InvalidInputError: The query is blank, ``top_k`` is below 1, or the vectors are not the embedder's.
            ScoringError: The embedder returned NaN or infinity.
        """
        text = check_search(query, top_k)
        return self._nearest(self._embedder.embed_queries([text]), top_k)[0] if self._ids else {}

    @checked_call()
    def search_many(self, queries: Sequence[str], *, top_k: int) -> list[dict[str, float]]:
        """Return what :meth:`search` returns for each query; they are embedded together.

        Raises:
            InvalidInputError: A query is blank, or ``top_k`` is below 1.
            ScoringError: The embedder returned NaN or infinity.
        """
        texts = [check_search(query, top_k) for query in queries]
        if not texts or not self._ids:
            return [{} for _ in texts]
        return self._nearest(self._embedder.embed_queries(texts), top_k)

    @checked_call()
    async def asearch(self, query: str, *, top_k: int) -> dict[str, float]:
        """Return what :meth:`search` returns, without blocking the event loop."""
        text = check_search(query, top_k)
        if not self._ids:
            return {}
        vectors = await self._embedder.aembed_queries([text])
        return (await asyncio.to_thread(self._nearest, vectors, top_k))[0]

    @property
    def ids(self) -> list[str]:
        """The documents' ids, in their order."""
        return list(self._ids)

    @property
    def embedder(self) -> Embedder:
        """The embedder that makes the vectors."""
        return self._embedder

    @property
    def vectors(self) -> _Vectors:
        """The documents' vectors, of length 1, in the order of ``ids``. Shape: (n, dim)."""
        return self._vectors

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that a saved retriever keeps."""
        return {"kind": "dense", "faiss_index": self._faiss_index, "n_probe": self._n_probe}

    @checked_call(unchecked=("texts",))
    def with_texts(self, texts: Mapping[str, str]) -> DenseIndex:
        """Return an index that has these documents too; only they are embedded.

        An approximate FAISS index was trained on the first documents: build a new one when the corpus has grown many
        times.
        """
        checked = check_texts_by_id(texts)
        check_new_ids(checked, set(self._ids))
        if not self._ids:
            return DenseIndex(
                checked,
                self._embedder,
                faiss_index=self._faiss_index,
                n_probe=self._n_probe,
                batch_size=self._batch_size,
            )
        added = unit_rows(embed_texts(list(checked.values()), self._embedder, batch_size=self._batch_size))
        made = copy(self)
        if len(added):
            made._ids = [*self._ids, *checked]
            made._vectors = np.concatenate([self._vectors, added])
            made._faiss = None if self._faiss is None else faiss_grown(self._faiss, added)
        return made

    def __len__(self) -> int:
        return len(self._ids)

    def _nearest(self, vectors: _Vectors, top_k: int) -> list[dict[str, float]]:
        """Return the documents nearest to each query. Shape of ``vectors``: (queries, dim)."""
        queries = unit_rows(vectors)
        check_same_length(queries, self._vectors)
        if self._faiss is None:
            return [best_first(self._vectors @ query, self._ids, top_k) for query in queries]
        # Each alone: FAISS computes twenty queries and more by another product. Its last bits decide between near ties,
        # so that what a query finds would depend on its neighbours.
        depth = min(top_k, len(self._ids))
        parameters = search_parameters(self._faiss, self._n_probe)
        found = (self._faiss.search(query[None], depth, params=parameters) for query in queries)
        return [self._hits(rows[0].tolist(), scores[0].tolist()) for scores, rows in found]

    def _hits(self, rows: list[int], scores: list[float]) -> dict[str, float]:
        # An approximate index that finds too few documents pads the result with -1.
        hits = [(row, score) for row, score in zip(rows, scores, strict=True) if row >= 0]
        found = sorted(hits, key=lambda hit: (-hit[1], hit[0]))
        return {self._ids[row]: float(score) for row, score in found}


@checked_call(unchecked=("texts",))
def embed_texts(
    texts: list[str], embedder: Embedder, *, batch_size: Count = 64, advance: Callable[[int], object] | None = None
) -> _Vectors:
    """Return the documents' vectors, embedded in batches. Shape: (n, dim).

    Args:
        texts: Documents.
        embedder: Embeds them.
        batch_size: Documents per call.
        advance: Called with the number of documents after each call.
    """
    texts = check_texts(texts, name="texts")
    blocks: list[_Vectors] = []
    for start in range(0, len(texts), batch_size):
        block = texts[start : start + batch_size]
        blocks.append(embedder.embed_documents(block))
        if advance is not None:
            advance(len(block))
    return np.concatenate(blocks) if blocks else np.zeros((0, 0), dtype=np.float32)


def faiss_grown(index: Any, added: _Vectors) -> Any:
    """Return a FAISS index that has these vectors too."""
    # A copy: others may be searching the index.
    grown = import_extra("faiss", extra="retrieval").clone_index(index)
    grown.add(added)
    return grown


def faiss_built(faiss: Any, description: str, vectors: _Vectors) -> Any:
    """Return a trained and filled FAISS index, or raise InvalidInputError if FAISS cannot make it."""
    try:
        index = faiss.index_factory(vectors.shape[1], description, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(vectors)
        index.add(vectors)
    except (RuntimeError, TypeError) as error:
        msg = f"FAISS cannot make faiss_index={description!r} of {vectors.shape} vectors: {error}"
        raise InvalidInputError(msg) from error
    return index


def search_parameters(index: Any, n_probe: int) -> Any:
    """Return what makes a search read ``n_probe`` lists, also of an IVF index inside another; None without one.

    They are for one search alone: other threads may be searching the index.
    """
    faiss = import_extra("faiss", extra="retrieval")
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexPreTransform):
        inner = search_parameters(index.index, n_probe)
        return None if inner is None else faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexRefine):
        inner = search_parameters(index.base_index, n_probe)
        if inner is None:
            return None
        return faiss.IndexRefineSearchParameters(k_factor=index.k_factor, base_index_params=inner)
    return faiss.SearchParametersIVF(nprobe=n_probe) if isinstance(index, faiss.IndexIVF) else None


def check_same_length(query: _Vectors, documents: npt.NDArray[Any]) -> None:
    """Raise InvalidInputError if vectors of queries and of documents cannot be compared. Shape of each: (n, dim)."""
    if query.shape[1] != documents.shape[1]:
        msg = (
            f"the documents' vectors have {documents.shape[1]} numbers, and the embedder makes {query.shape[1]} of a "
            "query; pass the embedder that they were made with, or leave vectors out"
        )
        raise InvalidInputError(msg)


def unit_rows(rows: _Vectors) -> _Vectors:
    """Return rows scaled to length 1. Shape: (n, dim), float32, contiguous.

    Rows of length 1 stay as they are to the last bit: those that were saved and read again are the same.
    """
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    lengths = np.where(np.abs(lengths - 1.0) <= _ROUNDING, 1.0, np.maximum(lengths, 1e-12))
    return np.ascontiguousarray(rows / lengths, dtype=np.float32)
