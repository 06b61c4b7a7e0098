"""nDCG@10 of BM25's candidates in the order of BM25, of all-MiniLM-L6-v2's cosine, and of rerankers.

    python -m recipe.evaluate --texts SETS --cosine MINILM --rerankers OLD NEW --keep VALUES.json wikiqa covidqa

Queries are drawn at random with a fixed seed. Candidates are those of the set where it has some, in the order of
BM25, else BM25's best. ``fused`` is BM25's and the last reranker's score, each scaled to 0 to 1 within the candidates,
in equal parts. Each difference is the mean over the queries with its standard error. What stands in VALUES.json by
query is not computed again.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rerank_plugins import Embedder, Reranker
from rerank_plugins.evaluation import BM25Index, Dataset, evaluate, open_dataset, sample_queries, usable_dataset
from rerank_plugins.ranking.fusion import weighted_fusion

logger = logging.getLogger(__name__)

SETS = (
    "wikiqa",
    "trecqa",
    "stackfaq",
    "fiqa_closed",
    "covidqa",
    "clapnq_dev",
    "nfcorpus",
    "cosqa",
    "climate_fever",
    "llamaindex_10k",
    "cmu_qa",
)
_SPLITS = {"wikiqa": "dev", "trecqa": "dev", "nfcorpus": "dev", "llamaindex_10k": "val"}
_MEASURE = "nDCG@10"
Scores = Mapping[str, Mapping[str, float]]


def queries_of(folder: Path, *, n_queries: int) -> Dataset:
    """Return a set with some of its queries."""
    whole = open_dataset(folder, split=_SPLITS.get(folder.name))
    return sample_queries(usable_dataset(whole, on_bad="drop"), n_queries=n_queries, seed=0)


def first_stage(data: Dataset, top_k: int) -> Scores:
    """Return BM25's scores of each query's candidates, the best ``top_k``; 0 where a given one shares no word."""
    index = BM25Index(data.texts)
    runs = {}
    for query_id, query in data.queries.items():
        given = data.candidates.get(query_id)
        found = index.search(query, top_k=len(data.documents) if given else top_k)
        scores = {key: found.get(key, 0.0) for key in sorted(given)} if given else found
        runs[query_id] = dict(sorted(scores.items(), key=lambda item: -item[1])[:top_k])
    return runs


def cosines(embedder: Embedder, data: Dataset, runs: Scores) -> Scores:
    """Return the cosine of each candidate."""
    needed = sorted({key for scores in runs.values() for key in scores})
    texts = data.texts
    rows = dict(zip(needed, embedder.embed_documents([texts[key] for key in needed]), strict=True))
    queries = dict(zip(data.queries, embedder.embed_queries(list(data.queries.values())), strict=True))
    return {one: {key: float(rows[key] @ queries[one]) for key in runs[one]} for one in runs}


def reranked(reranker: Reranker, data: Dataset, runs: Scores) -> Scores:
    """Return a reranker's scores of the same candidates."""
    texts = data.texts
    pairs = [(data.queries[query_id], texts[key]) for query_id, scores in runs.items() for key in scores]
    found = iter(reranker.score(pairs))
    return {query_id: {key: next(found) for key in scores} for query_id, scores in runs.items()}


def measured(data: Dataset, run: Scores) -> dict[str, float]:
    """Return nDCG@10 by query."""
    return dict(evaluate({one: dict(scores) for one, scores in run.items()}, data.qrels).per_query[_MEASURE])


def difference(one: Sequence[float], other: Sequence[float]) -> str:
    """Return the mean difference, and its standard error."""
    gains = np.array(one) - np.array(other)
    return f"{gains.mean():+.3f} ({gains.std(ddof=1) / len(gains) ** 0.5:.3f})"


def show(name: str, values: Mapping[str, Mapping[str, float]], last: str) -> None:
    """Log the means of a set, and the last reranker's differences to the others."""
    lists = {which: [one[key] for key in values["BM25"]] for which, one in values.items()}
    means = {which: round(float(np.mean(one)), 3) for which, one in lists.items()}
    others = {which: difference(lists[last], one) for which, one in lists.items() if which not in (last, "fused")}
    logger.info("%s: %d queries, %s; %s: %s", name, len(values["BM25"]), means, last, others)


def fill(values: dict[str, Any], data: Dataset, models: Mapping[str, Any], top_k: int) -> None:
    """Add what is not measured yet to the values of a set."""
    missing = [which for which in models if which not in values]
    if not missing and "BM25" in values:
        return
    bm25 = first_stage(data, top_k)
    values["BM25"] = measured(data, bm25)
    for which in missing:
        model = models[which]
        run = cosines(model, data, bm25) if isinstance(model, Embedder) else reranked(model, data, bm25)
        values[which] = measured(data, run)
        if isinstance(model, Reranker):
            both = {key: weighted_fusion([dict(bm25[key]), dict(run[key])]) for key in bm25}
            values["fused"] = measured(data, both)


def main() -> None:
    """Log a line a set, and the means over the sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", default=SETS)
    for name in ("texts", "cosine", "keep"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--rerankers", nargs="+", default=["mini"])
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--top-k", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("rerank_plugins").setLevel(logging.ERROR)
    how: dict[str, Any] = {"device": "cpu", "dtype": options.dtype}
    models: dict[str, Any] = {"cosine": Embedder(options.cosine, max_length=256, **how)}
    models |= {name: Reranker(name, max_length=options.tokens, **how) for name in options.rerankers}
    kept = json.loads(options.keep.read_text(encoding="utf-8")) if options.keep.exists() else {}
    for name in options.sets:
        data = queries_of(options.texts / name, n_queries=options.queries)
        fill(kept.setdefault(name, {}), data, models, options.top_k)
        options.keep.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        show(name, kept[name], options.rerankers[-1])
    for which in ("BM25", *models, "fused"):
        means = [float(np.mean(list(kept[name][which].values()))) for name in options.sets]
        logger.info("mean of %d sets: %s %.4f", len(means), which, np.mean(means))


if __name__ == "__main__":
    main()
