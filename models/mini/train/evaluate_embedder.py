"""Measure the mini embedder as a first stage: dense search over each whole corpus, no BM25.

python -m train.evaluate_embedder --data DATA --model EMBEDDER
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from train.data import DEV_SETS, RetrievalSet, load_set
from train.evaluate import ndcg, reciprocal_rank

TOP_K = 50


def dense_rankings(data: RetrievalSet, *, model: Path) -> dict[str, list[str]]:
    """Return the `TOP_K` nearest documents of each query by cosine."""
    from model2vec import StaticModel

    embedder = StaticModel.from_pretrained(model)
    document_ids = list(data.documents)
    documents = embedder.encode(list(data.documents.values()), max_length=None)
    queries = embedder.encode(list(data.queries.values()), max_length=None)
    rankings = {}
    for query_id, scores in zip(data.queries, queries @ documents.T, strict=True):
        rankings[query_id] = [document_ids[i] for i in np.argsort(-scores, kind="stable")[:TOP_K]]
    return rankings


def main() -> None:
    """Print nDCG@10, MRR@10 and recall@50 for each development set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    for name, splits in DEV_SETS.items():
        data = load_set(options.data / name, splits=splits)
        rankings = dense_rankings(data, model=options.model)
        measures = {
            "queries": len(rankings),
            "ndcg@10": np.mean([ndcg(row, data.qrels[q]) for q, row in rankings.items()]),
            "mrr@10": np.mean([reciprocal_rank(row, data.qrels[q]) for q, row in rankings.items()]),
            "recall@50": np.mean(
                [len(set(row) & set(data.qrels[q])) / len(data.qrels[q]) for q, row in rankings.items()]
            ),
        }
        print(name, json.dumps({key: round(float(value), 4) for key, value in measures.items()}), flush=True)


if __name__ == "__main__":
    main()
