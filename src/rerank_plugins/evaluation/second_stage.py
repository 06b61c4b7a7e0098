"""The second stage: reranks the results of a first stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.run import Run, TimedRun, ranked_ids
from rerank_plugins.types import RankedDocument

__all__ = ["Ranker", "rerank_run"]


@runtime_checkable
class Ranker(Protocol):
    """The protocol of rerankers: a :class:`~rerank_plugins.reranker.Reranker`, or an object with the same method."""

    def rank(self, query: str, documents: Sequence[str | None], /) -> Sequence[RankedDocument]:
        """Return the documents from best to worst."""
        ...


@checked_call()
def rerank_run(
    run: Run,
    dataset: Dataset,
    reranker: Ranker,
    *,
    top_k: Count,
    advance: Callable[[int], object] | None = None,
) -> TimedRun:
    """Return the first ``top_k`` documents of each query with the reranker's raw scores.

    Args:
        run: What the first stage found.
        dataset: Holds the texts.
        reranker: Scores them.
        top_k: Documents per query that are scored; deeper ones are dropped.
        advance: Called with 1 after each query, for a progress bar.

    Raises:
        InvalidInputError: The run names a query or document that the dataset does not have.
    """
    reranked: dict[str, dict[str, float]] = {}
    latencies_ms: dict[str, float] = {}
    for query_id, scores in run.items():
        ids = ranked_ids(scores)[:top_k]
        texts = [_contents(dataset, document_id) for document_id in ids]
        query = _query(dataset, query_id)
        start_s = time.perf_counter()
        ranked = reranker.rank(query, texts)
        latencies_ms[query_id] = (time.perf_counter() - start_s) * 1e3
        reranked[query_id] = {ids[one.index]: one.score for one in ranked}
        if advance is not None:
            advance(1)
    return TimedRun(reranked, latencies_ms)


def _contents(dataset: Dataset, document_id: str) -> str:
    if document_id not in dataset.documents:
        msg = f"the run names document {document_id!r}, which {dataset.name!r} does not have; is it another corpus?"
        raise InvalidInputError(msg)
    return dataset.documents[document_id].contents


def _query(dataset: Dataset, query_id: str) -> str:
    if query_id not in dataset.queries:
        msg = f"the run names query {query_id!r}, which {dataset.name!r} does not have; is it another split?"
        raise InvalidInputError(msg)
    return dataset.queries[query_id]
