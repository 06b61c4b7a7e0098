"""Write the shipped reranker from a trained one: scale and bias of its score, and its weights in few bits.

    python -m recipe.finish --trained TRAINED --lists LISTS

Scale and bias come from a logistic fit on queries that nothing was chosen by: each answer against three of its BM25
neighbours. They are folded into the head, so no order changes.

What is stored builds on the embedder's file (``rerank_plugins.base``): nothing of what was frozen, the difference of
each trained matrix in 4-bit blocks, and the layers that the embedder does not have in int8 rows.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import shutil
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from recipe.build import FOLDER as BASE
from rerank_plugins import Reranker
from rerank_plugins.weights.own_rows import read_rows

logger = logging.getLogger(__name__)

FOLDER = BASE.with_name("reranker")
_COPIED = ("config.json", "tokenizer.json", "tokenizer_config.json")
_NEGATIVES, _BLOCK = 3, 32
_SCALED = ("head.mean_scale", "head.maxsim_scale", "head.exact_scale", "head.linear.weight", "head.linear.bias")

Weights = dict[str, torch.Tensor]


def calibration_pairs(lists: Path) -> tuple[list[tuple[str, str]], NDArray[np.float64]]:
    """Return pairs of held-out queries and their labels: one answer and three others of each query."""
    draws = random.Random(0)
    pairs: list[tuple[str, str]] = []
    labels: list[float] = []
    for line in (lists / "calibration.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        negatives = draws.sample(row["neg"], min(_NEGATIVES, len(row["neg"])))
        pairs += [(row["query"], text) for text in (draws.choice(row["pos"]), *negatives)]
        labels += [1.0, *[0.0] * len(negatives)]
    return pairs, np.array(labels)


def logistic_fit(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> tuple[float, float]:
    """Return (scale, bias) that minimise the log loss of sigmoid(scale * logit + bias), by Newton's method."""
    mean, deviation = logits.mean(), logits.std()
    design = np.stack([(logits - mean) / deviation, np.ones(len(logits))], axis=1)
    theta = np.zeros(2)
    for _ in range(50):
        chances = 1 / (1 + np.exp(-design @ theta))
        hessian = (design * (chances * (1 - chances))[:, None]).T @ design + 1e-6 * np.eye(2)
        theta -= np.linalg.solve(hessian, design.T @ (chances - labels))
    return float(theta[0] / deviation), float(theta[1] - theta[0] * mean / deviation)


def calibrated(weights: Weights, *, scale: float, bias: float) -> Weights:
    """Return the weights with a head whose score is scale * score + bias."""
    found = weights | {name: weights[name] * scale for name in _SCALED}
    found["head.linear.bias"] = found["head.linear.bias"] + bias
    return found


def rows_of(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return int8 values and a float32 scale a row."""
    scale = matrix.abs().amax(1).clamp(min=1e-12) / 127
    return (matrix / scale[:, None]).round().clamp(-127, 127).to(torch.int8), scale


def blocks_of(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return 4-bit values of blocks of 32, two in a byte, and a float16 scale a block: the best of some scales each."""
    blocks = matrix.reshape(matrix.shape[0], -1, _BLOCK)
    extreme = blocks.gather(2, blocks.abs().argmax(2, keepdim=True))
    best_error = torch.full(extreme.shape, torch.inf)
    best_scale = torch.zeros_like(extreme)
    for share in np.linspace(0.7, 1.1, 17):
        scale = (extreme / -8 * float(share)).half().float()
        scale = torch.where(scale == 0, torch.full_like(scale, 6e-8), scale)
        error = ((blocks / scale).round().clamp(-8, 7) * scale - blocks).square().sum(2, keepdim=True)
        is_better = error < best_error
        best_error = torch.where(is_better, error, best_error)
        best_scale = torch.where(is_better, scale, best_scale)
    halves = ((blocks / best_scale).round().clamp(-8, 7) + 8).to(torch.uint8)
    low, high = halves.split(_BLOCK // 2, dim=2)
    return (low | high << 4).flatten(1), best_scale.squeeze(2).half()


def stored_weights(weights: Weights) -> Weights:
    """Return the tensors of the shipped file."""
    base = read_rows(BASE / "model.safetensors")
    found: Weights = {}
    for name, value in weights.items():
        difference = value - base[name] if name in base else value
        if not difference.any() and name in base:
            continue
        if name.startswith("head.") or difference.dim() < 2:
            found[name] = difference.contiguous()
        else:
            pack = blocks_of if name in base else rows_of
            found[name], found[f"{name}.scale"] = pack(difference)
    return found


def write(trained: Path, weights: Weights) -> None:
    """Write the folder."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    metadata = {"format": "pt", "rerank_plugins.quantization": "q4-blocks", "rerank_plugins.base": BASE.name}
    save_file(stored_weights(weights), FOLDER / "model.safetensors", metadata)
    for name in _COPIED:
        shutil.copyfile(trained / name, FOLDER / name)
    for path in FOLDER.iterdir():
        path.chmod(0o644)


def main() -> None:
    """Calibrate, and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trained", type=Path, required=True)
    parser.add_argument("--lists", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pairs, labels = calibration_pairs(options.lists)
    with Reranker(options.trained, device="cpu") as reranker:
        logits = np.array(reranker.score(pairs))
    scale, bias = logistic_fit(logits, labels)
    right = ((scale * logits + bias > 0) == (labels > 0)).mean()
    logger.info("%d pairs: scale %.4f, bias %.4f, %.3f right at 0.5", len(pairs), scale, bias, right)
    write(options.trained, calibrated(load_file(options.trained / "model.safetensors"), scale=scale, bias=bias))
    logger.info("%s: %.1f MB", FOLDER, sum(path.stat().st_size for path in FOLDER.iterdir()) / 1e6)


if __name__ == "__main__":
    main()
