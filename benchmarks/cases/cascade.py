"""A cascade of the bundled models beside the slower of them on all candidates: time, and what the ranking loses."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from rerank_plugins_demo.samples import english_sample

from benchmarks.cases.base import Case
from benchmarks.compare import ratio
from benchmarks.context import Context
from benchmarks.results import CaseResult, Missing, Timing
from benchmarks.targets import judge
from rerank_plugins import Cascade, Reranker
from rerank_plugins.errors import ModelError
from rerank_plugins.evaluation import Dataset, evaluate, sample_queries
from rerank_plugins.retrieval import BM25Index

__all__ = ["ALL", "CASCADE", "SHARE", "STAGES", "best_candidates", "open_both", "ranked_by_both"]

_FIRST, _SECOND = "cosine:mini", "mini"
SHARE = 0.15
"""Part of the candidates that the second stage reads: of 1,000 the 150 of README's example."""
ALL, STAGES = f"{_SECOND} on all", f"{_FIRST} on all, {_SECOND} on its best {SHARE:.0%}"
_DTYPE = "float32"


def _cascade(context: Context) -> CaseResult:
    """Rank the same candidates of each query both ways, in turns."""
    effort = context.effort
    title = f"{_FIRST} then {_SECOND}, {effort.cascade_documents} candidates at most"
    try:
        systems = open_both(effort.cascade_documents, device=context.device)
    except ModelError as error:
        reason = str(error)
        missing = tuple(Missing(system=name, dtype=_DTYPE, reason=reason) for name in (ALL, STAGES))
        verdicts = (judge("cascade-speed", None, note=reason), judge("cascade-ndcg", None, note=reason))
        return CaseResult(case="cascade", title=title, facts={}, timings=(), missing=missing, verdicts=verdicts)
    dataset = sample_queries(english_sample(), n_queries=effort.cascade_queries, seed=0)
    candidates = best_candidates(dataset, effort.cascade_documents)
    context.tell(f"{len(candidates)} queries with up to {effort.cascade_documents} candidates, both ways")
    try:
        runs, seconds = ranked_by_both(systems, dataset, candidates)
    finally:
        for reranker in systems.values():
            reranker.close()
    timings = tuple(Timing(system=name, dtype=_DTYPE, seconds=tuple(seconds[name])) for name in systems)
    found = {name: evaluate(runs[name], dataset.qrels).mean("nDCG@10") for name in systems}
    whole, stages = timings
    return CaseResult(
        case="cascade",
        title=title,
        facts={
            "queries": len(candidates),
            "candidates": max(map(len, candidates.values())),
            **{f"nDCG@10, {name}": round(value, 4) for name, value in found.items()},
        },
        timings=timings,
        missing=(),
        verdicts=(
            judge("cascade-speed", ratio(whole.median_s, stages.median_s)),
            judge("cascade-ndcg", found[ALL] - found[STAGES], note=f"mean of {len(candidates)} queries"),
        ),
    )


def open_both(n: int, *, device: str | None, dtype: str = _DTYPE, first: str = _FIRST) -> dict[str, Reranker]:
    """Return both systems for so many candidates, by their names; both run the same second model."""
    second = Reranker(_SECOND, device=device, dtype=dtype)
    return {ALL: second, STAGES: Cascade([(first, n), (second, max(1, round(SHARE * n)))])}


def best_candidates(dataset: Dataset, n: int) -> dict[str, tuple[str, ...]]:
    """Return for each query its best documents by BM25, then those without a word in common, so many at most."""
    index, all_ids = BM25Index(dataset.texts), tuple(dataset.texts)
    found = {key: tuple(index.search(query, top_k=n)) for key, query in dataset.queries.items()}
    return {key: tuple(dict.fromkeys((*ids, *all_ids)))[:n] for key, ids in found.items()}


def ranked_by_both(
    systems: Mapping[str, Reranker], dataset: Dataset, candidates: Mapping[str, Sequence[str]]
) -> tuple[dict[str, dict[str, dict[str, float]]], dict[str, list[float]]]:
    """Return the runs and the seconds of each query; the first few candidates of the first query are the warm-up."""
    runs: dict[str, dict[str, dict[str, float]]] = {name: {} for name in systems}
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for place, (key, ids) in enumerate(candidates.items()):
        texts = [dataset.texts[one] for one in ids]
        for name, reranker in systems.items():
            if place == 0:
                reranker.rank(dataset.queries[key], texts[:4])
            start = time.perf_counter()
            ranking = reranker.rank(dataset.queries[key], texts)
            seconds[name].append(time.perf_counter() - start)
            runs[name][key] = {ids[one.index]: -float(one.rank) for one in ranking}
    return runs, seconds


CASCADE = Case(name="cascade", title="a cascade of two models beside the slower one on all candidates", run=_cascade)
