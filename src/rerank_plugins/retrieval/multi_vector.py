"""First-stage retrieval by late interaction: one vector a token, found through FAISS, compared exactly by MaxSim."""

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
from rerank_plugins.embedding.kept import TokenVectorStore
from rerank_plugins.embedding.maxsim import maxsim
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval.dense import check_same_length, faiss_built, faiss_grown, search_parameters
from rerank_plugins.retrieval.first_stage import best_first, check_new_ids, check_search, check_texts_by_id
from rerank_plugins.retrieval.token_rows import TokenRows, token_rows

__all__ = ["MultiVectorIndex"]

_Rows = npt.NDArray[np.float32]

_MOST_AT_ONCE = 256
"""Documents that are compared by one product: 24 MB of float32 at 180 tokens of 128 numbers."""


class MultiVectorIndex:
    """Finds documents by the token vectors of a late-interaction model (ColBERT and its kin, BGE-M3's).

    As in ColBERT (Khattab and Zaharia 2020, section 3.6), a FAISS index over the vectors of all tokens gives the
    ``candidates_per_token`` nearest to each vector of the query; the documents that these belong to are compared by
    MaxSim with all of their vectors. What is approximate is thus which documents are compared, never a score. Vectors
    are held as float16 beside the FAISS index. Any number of threads may search one index.

    Args:
        texts: Document id to text; all are embedded here, unless ``vectors`` brings their vectors.
        embedder: Makes the vectors: one whose model has token vectors.
        faiss_index: Argument of ``faiss.index_factory``, such as ``IVF1024,SQ8`` (needs 39 tokens a list to train).
            None compares each query with all documents, exactly and without FAISS: right up to some ten thousand
            documents.
        candidates_per_token: Token vectors that are looked up for each vector of the query.
        n_probe: Lists of an IVF index that are searched, also of one behind a transform (``OPQ16,IVF1024,PQ16``) or
            before a refinement (``IVF1024,PQ16,RFlat``); other indexes have none.
        vectors: The documents' vectors, in the order of ``texts``, if they exist already; or a store, from which they
            are taken by their texts, and which keeps those that it lacks. A reranker with ``cache=`` the same store
            compares the same vectors, made once.
        batch_size: Documents embedded per call.
        advance: Called with the number of documents after each call, for a progress bar.

    Raises:
        InvalidInputError: ``texts`` holds something else, the vectors do not fit the texts or are not finite, or FAISS
            cannot make such an index.
        MissingExtraError: FAISS is not installed.
        UnsupportedModelError: The embedder has no token vectors, or no store keeps them (BGE-M3's).
        VectorStoreError: The store holds another model's vectors, or cannot be written.
        ScoringError: The embedder returned NaN or infinity.
    """

    @checked_call(unchecked=("texts",))
    def __init__(
        self,
        texts: Mapping[str, str],
        embedder: Embedder,
        *,
        faiss_index: str | None = None,
        candidates_per_token: Count = 100,
        n_probe: Count = 16,
        vectors: TokenRows | TokenVectorStore | None = None,
        batch_size: Count = 64,
        advance: Callable[[int], object] | None = None,
    ) -> None:
        checked = check_texts_by_id(texts)
        self._ids = list(checked)
        self._embedder, self._faiss_index, self._batch_size = embedder, faiss_index, batch_size
        self._candidates, self._n_probe = candidates_per_token, n_probe
        if faiss_index is not None:
            # Before anything is embedded.
            import_extra("faiss", extra="retrieval")
        self._store = vectors if isinstance(vectors, TokenVectorStore) else None
        if not isinstance(vectors, TokenRows):
            vectors = token_rows(
                list(checked.values()), embedder, batch_size=batch_size, store=self._store, advance=advance
            )
        elif not np.isfinite(vectors.rows).all():
            msg = "vectors holds NaN or infinity, whose products would be no scores; embed the texts again"
            raise InvalidInputError(msg)
        if len(vectors.lengths) != len(self._ids):
            msg = f"{len(self._ids)} texts need the vectors of as many, got those of {len(vectors.lengths)}"
            raise InvalidInputError(msg)
        self._vectors = vectors
        self._faiss = self._built()

    @checked_call()
    def search(self, query: str, *, top_k: int) -> dict[str, float]:
        """Return the ``top_k`` documents with the highest MaxSim, best first; ties keep the corpus' order.

        Documents without a token that counts are never found. Where a FAISS index finds candidates, there may be fewer.

        Raises:
            InvalidInputError: The query is blank, ``top_k`` is below 1, or the vectors are not the embedder's.
            ScoringError: The embedder returned NaN or infinity.
        """
        return self.search_many([query], top_k=top_k)[0]

    @checked_call()
    def search_many(self, queries: Sequence[str], *, top_k: int) -> list[dict[str, float]]:
        """Return what :meth:`search` returns for each query; they are embedded together."""
        texts = [check_search(query, top_k) for query in queries]
        if not texts or not len(self._vectors.rows):
            return [{} for _ in texts]
        found = self._embedder.encode_queries(texts, outputs=("colbert",)).colbert or ()
        return [self._nearest(rows, top_k) for rows in found]

    @checked_call()
    async def asearch(self, query: str, *, top_k: int) -> dict[str, float]:
        """Return what :meth:`search` returns, without blocking the event loop."""
        text = check_search(query, top_k)
        if not len(self._vectors.rows):
            return {}
        found = (await self._embedder.aencode_queries([text], outputs=("colbert",))).colbert or ()
        return await asyncio.to_thread(self._nearest, found[0], top_k)

    @property
    def ids(self) -> list[str]:
        """The documents' ids, in their order."""
        return list(self._ids)

    @property
    def embedder(self) -> Embedder:
        """The embedder that makes the vectors."""
        return self._embedder

    @property
    def vectors(self) -> TokenRows:
        """The vectors of all documents."""
        return self._vectors

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that a saved retriever keeps."""
        return {
            "kind": "multi_vector",
            "faiss_index": self._faiss_index,
            "candidates_per_token": self._candidates,
            "n_probe": self._n_probe,
            "vectors": None if self._store is None else str(self._store.folder.absolute()),
        }

    def _with_store(self, store: TokenVectorStore) -> MultiVectorIndex:
        """Return the same index, which takes the vectors of documents that are added from a store and keeps them."""
        made = copy(self)
        made._store = store
        return made

    @checked_call(unchecked=("texts",))
    def with_texts(self, texts: Mapping[str, str]) -> MultiVectorIndex:
        """Return an index that has these documents too; only they are embedded.

        An approximate FAISS index was trained on the first documents: build a new one when the corpus has grown many
        times.
        """
        checked = check_texts_by_id(texts)
        check_new_ids(checked, set(self._ids))
        added = token_rows(list(checked.values()), self._embedder, batch_size=self._batch_size, store=self._store)
        made = copy(self)
        made._ids = [*self._ids, *checked]
        made._vectors = self._vectors.joined(added)
        if self._faiss is not None and len(added.rows):
            made._faiss = faiss_grown(self._faiss, added.rows.astype(np.float32))
        elif self._faiss is None:
            made._faiss = made._built()
        return made

    def __len__(self) -> int:
        return len(self._ids)

    def _built(self) -> Any:
        """Return a FAISS index over the vectors; None without one, or over nothing."""
        if self._faiss_index is None or not len(self._vectors.rows):
            return None
        faiss = import_extra("faiss", extra="retrieval")
        return faiss_built(faiss, self._faiss_index, self._vectors.rows.astype(np.float32))

    def _nearest(self, query: _Rows, top_k: int) -> dict[str, float]:
        """Return the best documents for the vectors of a query. Shape of ``query``: (query vectors, dim)."""
        check_same_length(query, self._vectors.rows)
        places = self._places(query)
        scores = np.empty(len(places), dtype=np.float32)
        late = self._embedder.spec.late_interaction
        # An embedder that gives token vectors beside others is BGE-M3, whose score is the mean, as its reranker's.
        is_mean = late is None or late.is_mean
        for start in range(0, len(places), _MOST_AT_ONCE):
            block = places[start : start + _MOST_AT_ONCE]
            rows, lengths = self._vectors.of(block)
            scores[start : start + len(block)] = maxsim(query, rows, lengths, is_mean=is_mean)
        return best_first(scores, [self._ids[place] for place in places.tolist()], top_k)

    def _places(self, query: _Rows) -> npt.NDArray[np.int64]:
        """Return the documents that are compared, in the corpus' order."""
        if self._faiss is None:
            filled: npt.NDArray[np.int64] = np.flatnonzero(self._vectors.lengths)
            return filled
        depth = min(self._candidates, len(self._vectors.rows))
        parameters = search_parameters(self._faiss, self._n_probe)
        # Each alone: FAISS computes twenty and more by another product, so that neighbours would decide near ties.
        found = [self._faiss.search(row[None], depth, params=parameters)[1][0] for row in np.ascontiguousarray(query)]
        rows = np.concatenate(found) if found else np.zeros(0, dtype=np.int64)
        return np.unique(self._vectors.document_of(rows[rows >= 0]))
