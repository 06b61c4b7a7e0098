"""First-stage retrieval with BM25."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Within
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.retrieval.first_stage import best_first, check_new_ids, check_search, check_texts_by_id
from rerank_plugins.retrieval.words import words

__all__ = ["BM25Index"]

_Saturation = Annotated[float, Within(0.0)]
_Share = Annotated[float, Within(0.0, 1.0)]


class BM25Index:
    """BM25 as Lucene computes it, by bm25s; no stemming, no stop words.

    Text without spaces (Chinese, Japanese, Korean, Thai and their kin) is matched by characters and character pairs
    (:func:`~rerank_plugins.retrieval.words.words`). Any number of threads may search one index.

    Args:
        texts: Document id to text.
        k1: Saturation of the term frequency (Lucene's default).
        b: Strength of the length normalisation (Lucene's default).

    Raises:
        InvalidInputError: ``texts`` holds something else.
        MissingExtraError: bm25s is not installed.
    """

    @checked_call(unchecked=("texts",))
    def __init__(
        self,
        texts: Mapping[str, str],
        *,
        k1: _Saturation = 1.2,
        b: _Share = 0.75,
    ) -> None:
        bm25s = import_extra("bm25s", extra="retrieval")
        self._texts, self._k1, self._b = check_texts_by_id(texts), k1, b
        self._ids = list(self._texts)
        terms = [words(text) for text in self._texts.values()]
        # bm25s cannot index a corpus without a single term.
        self._index = bm25s.BM25(method="lucene", k1=k1, b=b) if any(terms) else None
        if self._index is not None:
            self._index.index(terms, show_progress=False)

    @checked_call()
    def search(self, query: str, *, top_k: int) -> dict[str, float]:
        """Return at most ``top_k`` documents that share a term with the query, best first.

        Raises:
            InvalidInputError: The query is blank, or ``top_k`` is below 1.
        """
        terms = words(check_search(query, top_k))
        if self._index is None or not terms:
            return {}
        scores = np.asarray(self._index.get_scores(terms), dtype=np.float32)
        return {key: score for key, score in best_first(scores, self._ids, top_k).items() if score > 0.0}

    @checked_call()
    async def asearch(self, query: str, *, top_k: int) -> dict[str, float]:
        """Return what :meth:`search` returns, without blocking the event loop."""
        return await asyncio.to_thread(self.search, query, top_k=top_k)

    @property
    def ids(self) -> list[str]:
        """The documents' ids, in their order."""
        return list(self._ids)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that a saved retriever keeps."""
        return {"kind": "bm25", "k1": self._k1, "b": self._b}

    @checked_call(unchecked=("texts",))
    def with_texts(self, texts: Mapping[str, str]) -> BM25Index:
        """Return an index that has these documents too.

        All documents are indexed again, since the weight of a word depends on the whole corpus: add many at a time.
        """
        checked = check_texts_by_id(texts)
        check_new_ids(checked, self._texts)
        return BM25Index({**self._texts, **checked}, k1=self._k1, b=self._b)

    def __len__(self) -> int:
        return len(self._ids)
