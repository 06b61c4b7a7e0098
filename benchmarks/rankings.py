"""Rankings of candidates by a reranker, for benchmarks that compare their quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rerank_plugins import Reranker
from rerank_plugins.evaluation import Dataset, Evaluation, evaluate
from rerank_plugins.retrieval import BM25Index

__all__ = ["Candidates", "Run", "ndcg_of"]

Run = Mapping[str, Mapping[str, float]]
"""Query id to document id to score."""

_MEASURE = "nDCG@10"


@dataclass(frozen=True, slots=True)
class Candidates:
    """What rerankers put in order.

    Attributes:
        data: The set.
        found: Query id to document ids, the best first; no query without a candidate.
    """

    data: Dataset
    found: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, data: Dataset, *, top_k: int) -> Candidates:
        """Return the candidates that the set itself has for a query, else BM25's best ``top_k``."""
        index = BM25Index(data.texts)
        found = {
            key: list(data.candidates.get(key) or index.search(query, top_k=top_k))
            for key, query in data.queries.items()
        }
        return cls(data, {key: ids for key, ids in found.items() if ids})

    def ranked(self, reranker: Reranker) -> Run:
        """Return a reranker's scores."""
        texts, queries = self.data.texts, self.data.queries
        pairs = [(queries[key], texts[one]) for key, ids in self.found.items() for one in ids]
        scores = iter(reranker.score(pairs))
        return {key: {one: next(scores) for one in ids} for key, ids in self.found.items()}

    def measured(self, run: Run) -> Evaluation:
        """Return the measures of a run."""
        return evaluate({key: dict(scores) for key, scores in run.items()}, self.data.qrels)


def ndcg_of(measured: Evaluation) -> Mapping[str, float]:
    """Return nDCG@10 by query."""
    return measured.per_query[_MEASURE]
