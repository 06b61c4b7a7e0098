"""Cheap first looks, as backends: the cosine of an embedder's vectors, and BM25 among the candidates."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from rerank_plugins.backends.named import FileOpener, paths_of
from rerank_plugins.backends.protocol import BackendScores, Pairs, ScoreOptions, SimplePairScorer, reranker_spec
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.composed.grouping import by_query
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval.words import words

__all__ = ["CandidateBm25", "CosineScorer", "open_bm25", "open_cosine"]


class CosineScorer:
    """The cosine of query and document by an embedder: with a static one the cheapest look there is.

    A score is a cosine, and the probability is that number where it is positive: no probability of relevance unless a
    calibration makes one of it.

    Args:
        embedder: An embedder of one dense vector a text, or its name or folder, which is opened and closed here.
    """

    def __init__(self, embedder: Embedder | str) -> None:
        self._is_owned = not isinstance(embedder, Embedder)
        self._embedder = embedder if isinstance(embedder, Embedder) else Embedder(embedder)
        self.spec = reranker_spec(
            f"cosine:{self._embedder.model}", score_scale="probability", revision=self._embedder.spec.revision
        )
        self.device = self._embedder.device

    def score(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return the cosine of each pair; each query and each document is embedded once."""
        groups, documents = by_query(pairs), [document or "" for _, document in pairs]
        queries = self._embedder.embed_queries(list(groups), deadline_s=options.deadline.left_s())
        vectors = self._embedder.embed_documents(documents, deadline_s=options.deadline.left_s())
        return _cosines(groups, queries, vectors)

    async def ascore(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return what :meth:`score` returns, without blocking the event loop."""
        groups, documents = by_query(pairs), [document or "" for _, document in pairs]
        queries = await self._embedder.aembed_queries(list(groups), deadline_s=options.deadline.left_s())
        vectors = await self._embedder.aembed_documents(documents, deadline_s=options.deadline.left_s())
        return _cosines(groups, queries, vectors)

    def close(self) -> None:
        """Close the embedder if it was opened here."""
        if self._is_owned:
            self._embedder.close()


class CandidateBm25(SimplePairScorer):
    """BM25 among the documents of one query: how rare a word is, is counted in the call's own documents.

    Lucene's formula by bm25s, with the words of :func:`~rerank_plugins.retrieval.words.words`. Scores depend on the
    other documents (``score_scope``) and are 0 or more; as log-odds they say nothing.
    """

    spec = reranker_spec("bm25", score_scope="call")

    def __init__(self) -> None:
        import_extra("bm25s", extra="retrieval")

    def score(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return the score of each pair among those of its query."""
        scores = [0.0] * len(pairs)
        for query, places in by_query(pairs).items():
            options.deadline.check()
            found = self.score_texts([(query, pairs[place][1] or "") for place in places])
            for place, value in zip(places, found, strict=True):
                scores[place] = value
        return BackendScores.of(scores)

    async def ascore(self, pairs: Pairs, options: ScoreOptions) -> BackendScores:
        """Return what :meth:`score` returns, made in a thread."""
        return await asyncio.to_thread(self.score, pairs, options)

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        """Return the scores of documents of one query."""
        bm25s = import_extra("bm25s", extra="retrieval")
        terms, query = [words(document) for _, document in pairs], words(pairs[0][0])
        known = {term for one in terms for term in one}
        asked = [term for term in query if term in known]
        if not asked:
            return [0.0] * len(pairs)
        index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
        index.index(terms, show_progress=False)
        return [float(score) for score in index.get_scores(asked)]


def _cosine_of(text: str) -> CosineScorer:
    if not text:
        msg = "cosine: names no embedder; write cosine:EMBEDDER, for example cosine:mini"
        raise InvalidInputError(msg)
    return CosineScorer(text)


open_cosine = FileOpener(_cosine_of, partial(paths_of, kind="embedder"))
"""Opens ``cosine:EMBEDDER``: the name or folder of an embedder."""


def open_bm25(text: str) -> CandidateBm25:
    """Open ``bm25``."""
    if text:
        msg = f"bm25 takes nothing behind a colon, got {text!r}; write bm25"
        raise InvalidInputError(msg)
    return CandidateBm25()


def _cosines(
    groups: dict[str, list[int]], queries: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32]
) -> BackendScores:
    places = np.empty(len(vectors), dtype=np.int64)
    for number, documents in enumerate(groups.values()):
        places[documents] = number
    products = np.einsum("ij,ij->i", queries[places], vectors, dtype=np.float64)
    lengths = np.linalg.norm(queries, axis=1)[places] * np.linalg.norm(vectors, axis=1)
    return BackendScores.of((products / np.maximum(lengths, 1e-12)).tolist())
