"""How much of a ranking bfloat16 keeps: on trained weights and real texts, since random scores lie too close."""

from __future__ import annotations

from rerank_plugins_demo.samples import load_samples

from benchmarks.compare import mean_top_overlap
from benchmarks.context import Context
from benchmarks.environment import NO_BF16, has_bf16
from rerank_plugins import Reranker
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.errors import ModelError
from rerank_plugins.retrieval import BM25Index

__all__ = ["kept_top_ten"]

_MODEL = "mini"
_CANDIDATES = 50


def kept_top_ten(context: Context) -> tuple[float | None, str]:
    """Return the mean share of our float32 top 10 that bfloat16 keeps, and on what; not timed.

    The model is the bundled ``mini``, the queries those of the bundled sample, each with its best 50 by BM25.
    """
    if context.device == "cpu" and not has_bf16():
        return None, NO_BF16
    try:
        pairs = _sample_pairs(context.effort.overlap_queries)
    except ModelError as error:
        return None, str(error)
    queries = [query for query, _ in pairs]
    scores = []
    for dtype in ("float32", "bfloat16"):
        context.tell(f"top 10 of {len(set(queries))} queries in {dtype}")
        with Reranker(_MODEL, dtype=dtype, device=context.device) as reranker:
            scores.append(reranker.score(pairs))
    return mean_top_overlap(scores[1], scores[0], queries=queries), (
        f"trained weights ({_MODEL}), mean of {len(set(queries))} queries x {_CANDIDATES} passages of the sample"
    )


def _sample_pairs(n_queries: int) -> list[tuple[str, str]]:
    sets, _ = load_samples(resolve(_MODEL, kind="reranker").spec, resolve(_MODEL, kind="embedder").spec)
    pairs: list[tuple[str, str]] = []
    for number, dataset in enumerate(sets):
        wanted = n_queries // len(sets) + (number < n_queries % len(sets))
        texts = dataset.texts
        index = BM25Index(texts)
        for query in list(dataset.queries.values())[:wanted]:
            pairs += [(query, texts[key]) for key in index.search(query, top_k=_CANDIDATES)]
    return pairs
