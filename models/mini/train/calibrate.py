"""Fit the logit's scale and bias, so that its sigmoid reads as a probability of relevance.

A logistic fit on held-out queries of the training sets: each labelled relevant document against three of its
BM25 neighbours. Scale and bias are folded into the head, so ranking does not change.

    python -m train.calibrate --data DATA --cache CACHE --model CHECKPOINT --out CALIBRATED
"""

from __future__ import annotations

import argparse
import logging
import random
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from train.data import TRAIN_SETS, load_candidates
from train.evaluate import score_pairs
from train.model import MiniReranker, load_checkpoint, save_checkpoint
from train.sampling import TrainOptions, split_queries

logger = logging.getLogger(__name__)
NEGATIVES_PER_POSITIVE = 3


def held_out_pairs(data: Path, *, cache: Path, hold_out: int) -> tuple[list[tuple[str, str]], NDArray[np.float64]]:
    """Return (query, document) texts and labels of the held-out training queries."""
    sets = {
        name: load_candidates(data / name, splits=splits, cache=cache)
        for name, splits in TRAIN_SETS.items()
        if (cache / f"{name}.npz").exists()
    }
    rng = random.Random(0)
    pairs, labels = [], []
    for name, query_id in split_queries(sets, hold_out=hold_out, held=True):
        candidates = sets[name]
        relevant = set(candidates.data.qrels[query_id])
        row = candidates.rows[query_id]
        others = [d for d in row if d not in relevant]
        chosen = [next(d for d in row if d in relevant), *rng.sample(others, min(NEGATIVES_PER_POSITIVE, len(others)))]
        pairs += [(candidates.data.queries[query_id], candidates.data.documents[d]) for d in chosen]
        labels += [float(d in relevant) for d in chosen]
    return pairs, np.array(labels)


def logistic_fit(logits: NDArray[np.float32], labels: NDArray[np.float64]) -> tuple[float, float]:
    """Return (scale, bias) that minimise the log loss of sigmoid(scale * logit + bias), by Newton's method."""
    design = np.stack([logits.astype(np.float64), np.ones(len(logits))], axis=1)
    mean, std = design[:, 0].mean(), design[:, 0].std()
    design[:, 0] = (design[:, 0] - mean) / std
    theta = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ theta))
        gradient = design.T @ (p - labels)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-6 * np.eye(2)
        theta -= np.linalg.solve(hessian, gradient)
    return float(theta[0] / std), float(theta[1] - theta[0] * mean / std)


def fold(model: MiniReranker, *, scale: float, bias: float) -> None:
    """Multiply the head's output by `scale` and add `bias`, in place."""
    head = model.head
    with torch.no_grad():
        for parameter in (head.mean_scale, head.maxsim_scale, head.exact_scale, head.linear.weight, head.linear.bias):
            parameter.mul_(scale)
        head.linear.bias.add_(bias)


def main() -> None:
    """Calibrate one checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "model", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--max-length", type=int, default=256)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    model = load_checkpoint(options.model).eval()
    hold_out = TrainOptions.hold_out
    pairs, labels = held_out_pairs(options.data, cache=options.cache, hold_out=hold_out)
    logits = score_pairs(model, pairs, max_length=options.max_length)
    scale, bias = logistic_fit(logits, labels)
    right = ((scale * logits + bias > 0) == (labels > 0)).mean()
    logger.info("%d pairs: scale %.4f bias %.4f, %.3f on the right side of 0", len(pairs), scale, bias, right)
    fold(model, scale=scale, bias=bias)
    save_checkpoint(model, options.out)


if __name__ == "__main__":
    main()
