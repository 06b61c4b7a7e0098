"""Makes cells from runs: measures with intervals, comparison, latency, and a run file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.grid.identity import key_of
from rerank_plugins.evaluation.grid.plan import GridOptions
from rerank_plugins.evaluation.measures import Evaluation, evaluate, parse_measures
from rerank_plugins.evaluation.results import Cell, Estimate, Latency, System
from rerank_plugins.evaluation.run import Run, in_order, quoted_name, trec_bytes
from rerank_plugins.evaluation.statistics import bootstrap_estimate, compare_paired
from rerank_plugins.system.files import write_atomically

__all__ = ["SystemRun", "estimates", "make_cell", "measured", "save_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemRun:
    """The results of one system, with times.

    Attributes:
        system: Which.
        run: All ``top_k`` documents of each query in its order.
        first_ms: Query id to milliseconds of the first stage; empty for candidates that come with the dataset.
        rerank: Query id to milliseconds and pairs of the second, of the queries that were timed; None without one.
    """

    system: System
    run: Run
    first_ms: Mapping[str, float]
    rerank: Mapping[str, tuple[float, int]] | None = None

    @property
    def times_ms(self) -> list[float]:
        """Milliseconds of both stages together, of the queries that were timed in both."""
        if self.rerank is None:
            return list(self.first_ms.values())
        return [self.first_ms.get(query_id, 0.0) + ms for query_id, (ms, _) in self.rerank.items()]

    @property
    def pairs_per_s(self) -> float | None:
        """Pairs that the second stage scored in a second; None if none was timed."""
        timed = [] if self.rerank is None else list(self.rerank.values())
        total_ms, n_pairs = sum(ms for ms, _ in timed), sum(n for _, n in timed)
        return n_pairs / total_ms * 1e3 if n_pairs and total_ms else None


def measured(run: Run, dataset: Dataset, *, top_n: int, measures: tuple[str, ...]) -> Evaluation:
    """Return the measures of a run's first ``top_n`` documents, in the run's own order."""
    cut = {query_id: in_order(dict(list(found.items())[:top_n])) for query_id, found in run.items()}
    return evaluate(cut, dataset.qrels, measures=parse_measures(measures))


def estimates(evaluation: Evaluation, options: GridOptions) -> dict[str, Estimate]:
    """Return the mean of each measure with its interval."""
    return {
        name: bootstrap_estimate(list(values.values()), n_resamples=options.n_resamples, seed=options.seed)
        for name, values in evaluation.per_query.items()
    }


def make_cell(
    one: SystemRun, dataset: Dataset, options: GridOptions, *, baseline: Run | None = None, run_file: str | None = None
) -> Cell:
    """Return the cell of a system.

    Args:
        one: Its run and times.
        dataset: On which queries.
        options: Measures, seeds and the price.
        baseline: Its own first stage's run; None for a first stage.
        run_file: Where its run was saved, relative to the results.
    """
    top_n = one.system.top_n
    evaluation = measured(one.run, dataset, top_n=top_n, measures=options.measures)
    against = {}
    if baseline is not None:
        before = measured(baseline, dataset, top_n=top_n, measures=options.measures)
        against = {
            name: compare_paired(
                list(values.values()),
                [before.per_query[name][query_id] for query_id in values],
                n_permutations=options.n_permutations,
                seed=options.seed,
            )
            for name, values in evaluation.per_query.items()
        }
    price = options.price_per_hour
    return Cell(
        dataset=dataset.name,
        system=one.system,
        measures=estimates(evaluation, options),
        against_first_stage=against,
        n_queries=len(dataset.queries),
        latency=_latency(one.times_ms),
        pairs_per_s=one.pairs_per_s,
        run_file=run_file,
        cost_per_1000_queries=None if price is None else _cost(one.times_ms, price_per_hour=price),
    )


def save_run(one: SystemRun, dataset: Dataset, folder: Path) -> str:
    """Write a system's run in TREC format and return its path relative to ``folder``.

    Ids with white space are quoted (:func:`~rerank_plugins.evaluation.run.quoted_name`).
    """
    system = one.system
    parts = (system.retriever, system.embedder, system.reranker, f"k{system.top_k}", f"n{system.top_n}")
    words = "-".join(re.sub(r"[^\w.=]+", "_", part.rsplit("/", 1)[-1]) for part in parts if part)
    # Two folders may have the same last part.
    name = f"{words}-{key_of(parts)[:6]}.trec"
    # No two datasets write into one folder, and none into a folder above.
    folder_name = re.sub(r"[^\w.=]+", "_", dataset.name)
    if folder_name != dataset.name or not folder_name.strip("."):
        folder_name = f"{folder_name.strip('.')}-{key_of(dataset.name)[:6]}"
    path = Path("runs") / folder_name / name
    quoted = {
        quoted_name(query_id): {quoted_name(document_id): score for document_id, score in in_order(found).items()}
        for query_id, found in one.run.items()
    }
    write_atomically(folder / path, trec_bytes(quoted))
    return path.as_posix()


def _latency(times_ms: list[float]) -> Latency | None:
    if not times_ms:
        return None
    p50, p95 = np.percentile(times_ms, [50, 95])
    return Latency(float(p50), float(p95), len(times_ms))


def _cost(times_ms: list[float], *, price_per_hour: float) -> float | None:
    """Return the price of 1000 queries, one after the other: a thousand times the mean ms is the mean in seconds."""
    return float(np.mean(times_ms)) / 3600 * price_per_hour if times_ms else None
