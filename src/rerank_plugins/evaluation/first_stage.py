"""First stages: BM25 over words, and cosine similarity over an embedder's vectors.

Both search one query at a time, so that the time of a query is what a user would wait.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rerank_plugins.embedder import Embedder
from rerank_plugins.evaluation.dataset import Document
from rerank_plugins.evaluation.optional import import_extra
from rerank_plugins.evaluation.run import TimedRun

__all__ = ["BM25Index", "DenseIndex", "FirstStage", "retrieve", "words"]

# Scripts written without spaces between words: kana, Han (with extensions) and Hangul syllables,
# whose particles are glued to words.
_CJK = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_CJK}]+|[^\W{_CJK}]+")
_IS_CJK = re.compile(f"[{_CJK}]")


class FirstStage(Protocol):
    """Finds documents in a whole corpus."""

    def search(self, query: str, *, top_k: int) -> dict[str, float]:
        """Return at most ``top_k`` documents with their scores, best first."""
        ...


def words(text: str) -> list[str]:
    """Return the terms of a text: lower-cased words, and characters and character pairs of CJK text.

    Widths and letter forms are made equal first (NFKC), so that full-width Latin matches.

    Example:
        >>> words("RAG 检索增强")
        ['rag', '检', '索', '增', '强', '检索', '索增', '增强']
    """
    terms: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if _IS_CJK.match(word):
            terms.extend(word)
            terms.extend(word[i : i + 2] for i in range(len(word) - 1))
        else:
            terms.append(word)
    return terms


class BM25Index:
    """BM25 as Lucene computes it, by bm25s; no stemming, no stop words.

    Args:
        documents: Document id to document.
        k1: How soon repeated terms stop counting (Lucene's default).
        b: How much length is discounted (Lucene's default).

    Raises:
        MissingExtraError: bm25s is not installed.
    """

    def __init__(self, documents: Mapping[str, Document], *, k1: float = 1.2, b: float = 0.75) -> None:
        bm25s = import_extra("bm25s", extra="evaluation")
        self._ids = list(documents)
        terms = [words(document.contents) for document in documents.values()]
        # bm25s cannot index a corpus without a single term.
        self._index = bm25s.BM25(method="lucene", k1=k1, b=b) if any(terms) else None
        if self._index is not None:
            self._index.index(terms, show_progress=False)

    def search(self, query: str, *, top_k: int) -> dict[str, float]:
        """Return at most ``top_k`` documents that share a term with the query, best first."""
        terms = words(query)
        if self._index is None or not terms:
            return {}
        scores = np.asarray(self._index.get_scores(terms), dtype=np.float32)
        return {key: score for key, score in _best(scores, self._ids, top_k).items() if score > 0.0}


class DenseIndex:
    """Exact search by cosine similarity.

    Args:
        documents: Document id to document; all are embedded here.
        embedder: Makes the vectors, with its own instructions for queries and documents.
        batch_size: Documents embedded per call.
        advance: Called with the number of documents after each call, for a progress bar.
    """

    def __init__(
        self,
        documents: Mapping[str, Document],
        embedder: Embedder,
        *,
        batch_size: int = 64,
        advance: Callable[[int], object] | None = None,
    ) -> None:
        self._ids = list(documents)
        self._embedder = embedder
        texts = [document.contents for document in documents.values()]
        blocks: list[npt.NDArray[np.float32]] = []
        for start in range(0, len(texts), batch_size):
            block = texts[start : start + batch_size]
            blocks.append(_unit(embedder.embed_documents(block)))
            if advance is not None:
                advance(len(block))
        self._vectors = np.concatenate(blocks) if blocks else np.zeros((0, 0), dtype=np.float32)

    def search(self, query: str, *, top_k: int) -> dict[str, float]:
        """Return the ``top_k`` documents nearest to the query, best first."""
        if not self._ids:
            return {}
        vector = _unit(self._embedder.embed_queries([query]))[0]
        return _best(self._vectors @ vector, self._ids, top_k)


def retrieve(
    index: FirstStage,
    queries: Mapping[str, str],
    *,
    top_k: int,
    advance: Callable[[int], object] | None = None,
) -> TimedRun:
    """Return what a first stage finds for each query, and how long each took.

    Args:
        index: The first stage.
        queries: Query id to text.
        top_k: Documents per query at most.
        advance: Called with 1 after each query, for a progress bar.
    """
    run: dict[str, dict[str, float]] = {}
    latencies_ms: dict[str, float] = {}
    for query_id, query in queries.items():
        start_s = time.perf_counter()
        run[query_id] = index.search(query, top_k=top_k)
        latencies_ms[query_id] = (time.perf_counter() - start_s) * 1e3
        if advance is not None:
            advance(1)
    return TimedRun(run, latencies_ms)


def _best(scores: npt.NDArray[np.float32], ids: list[str], top_k: int) -> dict[str, float]:
    order = np.argsort(-scores, kind="stable")[:top_k]
    return {ids[i]: float(scores[i]) for i in order}


def _unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), dtype=np.float32)
