"""The three systems that the demonstration compares, run over all queries of the sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.progress import Progress

from rerank_plugins.embedder import Embedder
from rerank_plugins.evaluation import (
    BM25Index,
    Dataset,
    DenseIndex,
    Evaluation,
    Run,
    TimedRun,
    evaluate,
    rerank_run,
    retrieve,
)
from rerank_plugins.evaluation.statistics import compare_paired
from rerank_plugins.evaluation.worse import worse_sentence
from rerank_plugins.reranker import Reranker

__all__ = ["Stage", "run_stages", "worse_remarks"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One system's results.

    Attributes:
        name: As shown in tables.
        run: What it found.
        latencies_ms: Milliseconds of each query.
        evaluation: Its measures.
    """

    name: str
    run: Run
    latencies_ms: Mapping[str, float]
    evaluation: Evaluation

    def mean_ms(self, queries: list[str]) -> float:
        """Return milliseconds per query over some queries."""
        return sum(self.latencies_ms[query_id] for query_id in queries) / len(queries)


def run_stages(
    dataset: Dataset, *, embedder: Embedder, reranker: Reranker, top_k: int, progress: Progress
) -> list[Stage]:
    """Return BM25, dense, and dense with its first ``top_k`` documents reranked, in this order."""
    n_queries = len(dataset.queries)
    sparse = retrieve(BM25Index(dataset.texts), dataset.queries, top_k=top_k)

    task = progress.add_task("Embedding documents", total=len(dataset.documents))
    index = DenseIndex(dataset.texts, embedder, advance=lambda n: progress.advance(task, n))
    _warm_up(embedder, reranker)
    dense = retrieve(index, dataset.queries, top_k=top_k)

    reranking = progress.add_task("Reranking", total=n_queries)
    second = rerank_run(dense.run, dataset, reranker, top_k=top_k, advance=lambda n: progress.advance(reranking, n))
    return [
        _stage("BM25", sparse, dataset),
        _stage("dense", dense, dataset),
        _stage("dense + rerank", _in_sequence(dense, second), dataset),
    ]


def worse_remarks(
    before: Stage, after: Stage, groups: Sequence[tuple[str, list[str]]], measures: Sequence[str]
) -> list[str]:
    """Return a sentence for each group of queries whose measures reranking lowered.

    Args:
        before: The first stage alone.
        after: The same, reranked.
        groups: A name and its query ids.
        measures: The measures that are shown.
    """
    sentences = []
    for name, queries in groups:
        values = {measure: [stage.evaluation.per_query[measure] for stage in (before, after)] for measure in measures}
        against = {
            measure: compare_paired([second[one] for one in queries], [first[one] for one in queries])
            for measure, (first, second) in values.items()
        }
        means = {measure: after.evaluation.mean(measure, queries=queries) for measure in measures}
        sentences.append(worse_sentence(name, after=means, against=against, n_queries=len(queries)))
    return [sentence for sentence in sentences if sentence]


def _warm_up(embedder: Embedder, reranker: Reranker) -> None:
    """Let lazy initialisation happen before anything is timed."""
    embedder.embed_queries(["warm up"])
    reranker.rank("warm up", ["the first call of a model is slower"])


def _in_sequence(first: TimedRun, second: TimedRun) -> TimedRun:
    total = {query_id: time_ms + second.latencies_ms[query_id] for query_id, time_ms in first.latencies_ms.items()}
    return TimedRun(second.run, total)


def _stage(name: str, timed: TimedRun, dataset: Dataset) -> Stage:
    return Stage(name, timed.run, timed.latencies_ms, evaluate(timed.run, dataset.qrels))
