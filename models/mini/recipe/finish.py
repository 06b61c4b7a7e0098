"""Write the shipped reranker from a trained one: scale and bias of its score, and its weights as int8 rows.

    python -m recipe.finish --trained MERGED --dev DRAWN/dev.jsonl

Scale and bias come from a logistic fit on the dev queries: an answer of each against three of its BM25 neighbours. They
are folded into the head, so no order changes. Each 2-D tensor NAME becomes int8 and a float32 NAME.scale of shape
(rows,), with value = int8 * scale[row]; other tensors stay float32.
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

from rerank_plugins import Reranker

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parents[1] / "src" / "rerank_plugins_mini" / "reranker"
_NEGATIVES = 3
_SCALED = ("head.mean_scale", "head.maxsim_scale", "head.exact_scale", "head.linear.weight", "head.linear.bias")
_METADATA = {"format": "pt", "rerank_plugins.quantization": "int8-rows"}

Weights = dict[str, torch.Tensor]


def calibration_pairs(dev: Path) -> tuple[list[tuple[str, str]], NDArray[np.float64]]:
    """Return pairs of the dev queries and their labels: one answer and three others of each query."""
    draws = random.Random(0)
    pairs: list[tuple[str, str]] = []
    labels: list[float] = []
    for line in dev.read_text(encoding="utf-8").splitlines():
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


def int8_rows(weights: Weights) -> Weights:
    """Return the tensors of the shipped file."""
    found: Weights = {}
    for name, value in weights.items():
        if value.dim() != 2:
            found[name] = value.float().contiguous()
            continue
        scale = value.float().abs().amax(1).clamp(min=1e-12) / 127
        found[name] = (value.float() / scale[:, None]).round().clamp(-127, 127).to(torch.int8).contiguous()
        found[f"{name}.scale"] = scale.contiguous()
    return found


def main() -> None:
    """Calibrate, and write the weights; config and tokenizer stay as they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trained", type=Path, required=True)
    parser.add_argument("--dev", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    pairs, labels = calibration_pairs(options.dev)
    with Reranker(options.trained, device="cpu") as reranker:
        logits = np.array(reranker.score(pairs))
    scale, bias = logistic_fit(logits, labels)
    right = ((scale * logits + bias > 0) == (labels > 0)).mean()
    logger.info("%d pairs: scale %.4f, bias %.4f, %.3f right at 0.5", len(pairs), scale, bias, right)
    weights = calibrated(load_file(options.trained / "model.safetensors"), scale=scale, bias=bias)
    if options.out != FOLDER:
        shutil.copytree(FOLDER, options.out, dirs_exist_ok=True)
    save_file(int8_rows(weights), options.out / "model.safetensors", _METADATA)
    (options.out / "model.safetensors").chmod(0o644)
    logger.info("%s: %.1f MB", options.out, sum(path.stat().st_size for path in options.out.iterdir()) / 1e6)


if __name__ == "__main__":
    main()
