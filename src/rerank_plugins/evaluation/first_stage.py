"""Runs a first stage over the queries of a dataset, one query at a time, and measures the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count
from rerank_plugins.evaluation.run import TimedRun
from rerank_plugins.retrieval import FirstStage

__all__ = ["retrieve"]


@checked_call()
def retrieve(
    index: FirstStage,
    queries: Mapping[str, str],
    *,
    top_k: Count,
    advance: Callable[[int], object] | None = None,
) -> TimedRun:
    """Return the results of a first stage for each query, and the time of each.

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
