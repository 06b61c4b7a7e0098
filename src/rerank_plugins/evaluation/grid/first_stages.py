"""Runs first stages over the queries of a dataset and stores their results as they are made."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.grid.identity import corpus_key, key_of, query_key, stage_key
from rerank_plugins.evaluation.grid.model_pool import ModelPool
from rerank_plugins.evaluation.grid.plan import StageChoice
from rerank_plugins.evaluation.grid.store import ChunkLog
from rerank_plugins.evaluation.run import TimedRun
from rerank_plugins.retrieval import FirstStage

__all__ = ["chunks", "first_stage_run"]

_QUERIES_PER_CHUNK = 64


def first_stage_run(
    stage: StageChoice,
    dataset: Dataset,
    *,
    depth: int,
    folder: Path,
    models: ModelPool,
    whole: Dataset | None = None,
) -> TimedRun:
    """Return the results of a stage for every query; each query is searched and timed alone.

    Queries whose results are in the folder are not searched again. Candidates that come with a task are taken as they
    are, with the scores 1/rank and without times.

    Args:
        stage: Which first stage.
        dataset: Corpus and queries.
        depth: Documents per query at most.
        folder: The work folder.
        models: Builds the index.
        whole: The dataset that this one is a part of; None if it is none.
    """
    if stage.retriever == "candidates":
        return TimedRun({query_id: _task_candidates(dataset, query_id, depth) for query_id in dataset.queries}, {})
    log = ChunkLog(
        folder / "first_stages" / key_of(corpus_key(dataset.texts), stage_key(stage, device=models.device), depth)
    )
    known = {entry["query"]: entry for entry in log}
    missing = [text for text in dict.fromkeys(dataset.queries.values()) if query_key(text) not in known]
    if missing:
        index = models.index(stage, dataset, whole=whole)
        for chunk in chunks(missing, _QUERIES_PER_CHUNK):
            entries = [_searched(index, text, depth) for text in chunk]
            log.append(entries)
            known.update((entry["query"], entry) for entry in entries)
    by_id = {query_id: known[query_key(text)] for query_id, text in dataset.queries.items()}
    return TimedRun(
        {query_id: dict(zip(entry["ids"], entry["scores"], strict=True)) for query_id, entry in by_id.items()},
        {query_id: entry["ms"] for query_id, entry in by_id.items()},
    )


def chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Yield the items in runs of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _task_candidates(dataset: Dataset, query_id: str, depth: int) -> dict[str, float]:
    listed = list(dict.fromkeys(dataset.candidates.get(query_id, ())))
    return {document_id: 1.0 / rank for rank, document_id in enumerate(listed[:depth], start=1)}


def _searched(index: FirstStage, query: str, depth: int) -> dict[str, Any]:
    start_s = time.perf_counter()
    found = index.search(query, top_k=depth)
    ms = (time.perf_counter() - start_s) * 1e3
    return {"query": query_key(query), "ids": list(found), "scores": list(found.values()), "ms": ms}
