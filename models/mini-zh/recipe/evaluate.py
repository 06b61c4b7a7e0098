"""nDCG@10 of BM25, of its candidates in the order of mini-zh's cosine, and of both fused.

    python -m recipe.evaluate --texts SETS --queries 100 --top-k 100 --tokens 256 drcd cmrc2018

Candidates are those of the set where it has some, else the first ``--top-k`` of BM25. Fused is the reciprocal rank
fusion of both orders (k = 60), and the sum of both scores, each scaled to 0 to 1 within the candidates.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path

from rerank_plugins import Embedder
from rerank_plugins.evaluation import BM25Index, Dataset, evaluate, open_dataset, sample_queries, usable_dataset
from rerank_plugins.ranking.fusion import reciprocal_rank_fusion, weighted_fusion

logger = logging.getLogger(__name__)
_MEASURE = "nDCG@10"
Scores = dict[str, float]


def first_stage(data: Dataset, top_k: int) -> dict[str, Scores]:
    """Return BM25's scores of each query's candidates; 0 for a given candidate that shares no word."""
    index = BM25Index(data.texts)
    runs = {}
    for query_id, query in data.queries.items():
        given = data.candidates.get(query_id)
        found = index.search(query, top_k=len(data.documents) if given else top_k)
        runs[query_id] = {key: found.get(key, 0.0) for key in given} if given else found
    return runs


def _best_first(scores: Scores) -> Scores:
    """Return the scores from highest to lowest, as a rank fusion reads them."""
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


def cosines(embedder: Embedder, data: Dataset, runs: Mapping[str, Scores]) -> dict[str, Scores]:
    """Return the cosine of each candidate."""
    needed = sorted({key for scores in runs.values() for key in scores})
    texts = data.texts
    rows = dict(zip(needed, embedder.embed_documents([texts[key] for key in needed]), strict=True))
    queries = embedder.embed_queries(list(data.queries.values()))
    return {
        query_id: {key: float(rows[key] @ query) for key in runs[query_id]}
        for query_id, query in zip(data.queries, queries, strict=True)
    }


def main() -> None:
    """Log one line a set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--top-k", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("rerank_plugins").setLevel(logging.ERROR)
    embedder = Embedder("mini-zh", device="cpu", dtype=options.dtype, max_length=options.tokens)
    for name in options.sets:
        whole = usable_dataset(open_dataset(options.texts / name), on_bad="drop")
        data = sample_queries(whole, n_queries=options.queries, seed=0)
        bm25 = first_stage(data, options.top_k)
        cosine = cosines(embedder, data, bm25)
        runs = {
            "BM25": bm25,
            "cosine": cosine,
            "rank fusion": {
                key: reciprocal_rank_fusion([_best_first(bm25[key]), _best_first(cosine[key])]) for key in bm25
            },
            "score fusion": {key: weighted_fusion([bm25[key], cosine[key]]) for key in bm25},
        }
        found = {which: round(evaluate(run, data.qrels).mean(_MEASURE), 3) for which, run in runs.items()}
        logger.info("%s: %d queries, %s", name, len(data.queries), found)


if __name__ == "__main__":
    main()
