"""Score lists with one teacher, and fuse the scores of several into training data in FlagEmbedding's format.

    python -m recipe.teach score DRAWN/train.jsonl --reranker START --out DRAWN/train.mini.npy
    python -m recipe.teach score DRAWN/train.jsonl --embedder mini-zh --out DRAWN/train.e5.npy
    python -m recipe.teach choose DRAWN/dev.jsonl --scores DRAWN/dev.*.npy
    python -m recipe.teach fuse DRAWN/train.jsonl --scores DRAWN/train.*.npy --weights 1 5 40 --out LISTS/train.jsonl

A teacher reads the question in full, also where the student sees it without its function words. A reranker's score is
its logit, an embedder's the cosine. The sum is on the student's scale, as one of its terms is the student's own logit
before the training.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recipe.lists import write_lines
from rerank_plugins import Embedder, Reranker

logger = logging.getLogger(__name__)

_TOKENS = 112
_TOKENS_OF_PAIR = 160
_TOO_GOOD = 0.95
_GRID = ((0.0, 0.5, 1.0), (0.0, 5.0, 10.0, 20.0), (0.0, 20.0, 40.0, 60.0, 80.0))

Floats = NDArray[np.float64]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the rows of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def texts_of(row: Mapping[str, Any]) -> list[str]:
    """Return the texts of a row, answers first."""
    return [*row["pos"], *row["neg"]]


def reranker_scores(rows: Sequence[Mapping[str, Any]], model: str) -> Floats:
    """Return the logit of each text of each row, one after another."""
    with Reranker(model, device="cpu", dtype="bfloat16", max_length=_TOKENS_OF_PAIR) as reranker:
        return np.array(reranker.score([(row["asked"], text) for row in rows for text in texts_of(row)]))


def embedder_scores(rows: Sequence[Mapping[str, Any]], model: str) -> Floats:
    """Return the cosine of each text of each row, one after another."""
    embedder = Embedder(model, device="cpu", dtype="bfloat16", max_length=_TOKENS)
    texts = list(dict.fromkeys(text for row in rows for text in texts_of(row)))
    vectors = dict(zip(texts, np.asarray(embedder.embed_documents(texts)), strict=True))
    queries = np.asarray(embedder.embed_queries([row["asked"] for row in rows]))
    pairs = zip(rows, queries, strict=True)
    return np.array([float(vectors[text] @ query) for row, query in pairs for text in texts_of(row)])


def ndcg(scores: Floats, n_right: int) -> float:
    """Return nDCG@10 of texts whose first ``n_right`` are right; of equal scores the wrong text comes first."""
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], place < n_right))
    gains = sum(1 / log2(rank + 2) for rank, place in enumerate(order[:10]) if place < n_right)
    return gains / sum(1 / log2(rank + 2) for rank in range(min(10, n_right)))


def by_row(rows: Sequence[Mapping[str, Any]], scores: Floats) -> list[Floats]:
    """Return the scores of each row."""
    ends = np.cumsum([len(texts_of(row)) for row in rows])
    return list(np.split(scores, ends[:-1]))


def mean_by_set(rows: Sequence[Mapping[str, Any]], scores: Floats) -> dict[str, float]:
    """Return the mean nDCG@10 of each set, and of the sets as ``mean``."""
    found: dict[str, list[float]] = defaultdict(list)
    for row, own in zip(rows, by_row(rows, scores), strict=True):
        found[row["set"]].append(ndcg(own, len(row["pos"])))
    means = {name: float(np.mean(values)) for name, values in sorted(found.items())}
    return means | {"mean": float(np.mean(list(means.values())))}


def choose(rows: Sequence[Mapping[str, Any]], scores: Floats) -> list[tuple[float, tuple[float, ...]]]:
    """Return (mean nDCG@10, weights) of each sum of the grid, the best first."""
    grid = itertools.product(*_GRID[: len(scores)])
    return sorted(((mean_by_set(rows, np.array(one) @ scores)["mean"], one) for one in grid if any(one)), reverse=True)


def fused(rows: Sequence[Mapping[str, Any]], scores: Floats) -> list[dict[str, Any]]:
    """Return training rows. What the teacher puts as high as the answer may answer too and is left out.

    Texts that were made to be wrong have the score of the lowest other text.
    """
    found = []
    for row, own in zip(rows, by_row(rows, scores), strict=True):
        n_made, texts = row["made"], texts_of(row)
        lowest = own[: len(own) - n_made].min()
        own = np.concatenate([own[: len(own) - n_made], np.full(n_made, lowest)])
        limit = lowest + _TOO_GOOD * (own[0] - lowest)
        kept = [place for place in range(1, len(texts)) if own[place] < limit or place >= len(texts) - n_made]
        if len(kept) >= 3:
            found.append(
                {
                    "query": row["query"],
                    "pos": row["pos"],
                    "neg": [texts[place] for place in kept],
                    "pos_scores": [round(float(own[0]), 3)],
                    "neg_scores": [round(float(own[place]), 3) for place in kept],
                }
            )
    return found


def main() -> None:
    """Score, choose or fuse."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("score", "choose", "fuse"))
    parser.add_argument("rows", type=Path)
    for name in ("reranker", "embedder"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--scores", type=Path, nargs="+")
    parser.add_argument("--weights", type=float, nargs="+")
    parser.add_argument("--first", type=int, help="rows, all if not given")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows = read_lines(options.rows)[: options.first]
    if options.task == "score":
        score = reranker_scores if options.reranker else embedder_scores
        np.save(options.out, score(rows, options.reranker or options.embedder))
        return
    scores = np.stack([np.load(path) for path in options.scores])
    if options.task == "choose":
        for path, one in zip(options.scores, scores, strict=True):
            logger.info("%s: %s", path.name, {name: round(value, 3) for name, value in mean_by_set(rows, one).items()})
        for mean, weights in choose(rows, scores)[:12]:
            logger.info("%.4f with weights %s", mean, weights)
        return
    found = fused(rows, np.array(options.weights) @ scores)
    write_lines(options.out, found)
    logger.info("%d of %d lists", len(found), len(rows))


if __name__ == "__main__":
    main()
