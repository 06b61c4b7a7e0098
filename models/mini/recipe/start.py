"""Write all-MiniLM-L6-v2 with the reranker's head before any training: what ``mini`` is mixed with.

    python -m recipe.start --minilm MINILM --out UNTRAINED

The head ranks by the cosine of both texts' means, the best cosine of each query token, and shared tokens; its other
weights are 0.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from recipe.finish import FOLDER

_SCALES = {"mean_scale": 10.0, "maxsim_scale": 12.0, "exact_scale": 3.0}


def untrained(minilm: Path) -> dict[str, torch.Tensor]:
    """Return the weights by the names of this format."""
    stored = load_file(minilm / "model.safetensors")
    weights = {
        name: value.float().contiguous()
        for name, value in stored.items()
        if value.is_floating_point() and not name.startswith("pooler.")
    }
    hidden = weights["embeddings.word_embeddings.weight"].shape[1]
    head = {name: torch.tensor([value]) for name, value in _SCALES.items()}
    head |= {"token_weight": torch.zeros(1, hidden), "linear.weight": torch.zeros(1, hidden)}
    head["linear.bias"] = torch.zeros(1)
    return weights | {f"head.{name}": value for name, value in head.items()}


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("minilm", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    shutil.copytree(FOLDER, options.out)
    save_file(untrained(options.minilm), options.out / "model.safetensors", {"format": "pt"})


if __name__ == "__main__":
    main()
