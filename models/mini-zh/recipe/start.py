"""Write the reranker before its training: the embedder, layers above it, and a head that ranks by cosines.

The embedder's 12 layers read query and document apart (``apart_layers``), as the embedder does; the layers above read
both together. They are copies of its last layer whose output products are 0, so that they change (nearly) nothing
before the first step: the reranker starts with the order of the embedder's cosine.

    python -m recipe.start --out START

The folder is of rerank-plugins' own format, with float32 weights. E5's prefixes are special tokens of the pair,
``<s> query: Q </s> <s> passage: D </s>``, so that every reader of the tokenizer puts them there and no segment holds
them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, processors

from recipe.build import FOLDER
from rerank_plugins.weights.own_rows import read_rows

_SCALES = {"mean_scale": 60.0, "maxsim_scale": 15.0, "exact_scale": 2.0}
_PAIR = "<s> query $A </s> <s> passage $B </s>"
_NOT_OF_BACKBONE = ("architectures", "model_type", "position_embedding_type")


_JOINT_LAYERS = 3
_LAYER = "encoder.layer."


def joint_layer(weights: dict[str, torch.Tensor], *, source: int, number: int) -> dict[str, torch.Tensor]:
    """Return a layer that gives back its input, nearly: a copy of another one without its output products.

    Its norms would change the mean and the length of a state; they are given those that states of the last layer have.
    """
    before = f"{_LAYER}{source}."
    found = {
        name.replace(before, f"{_LAYER}{number}.", 1): value.clone()
        for name, value in weights.items()
        if name.startswith(before)
    }
    bias, weight = (weights[f"{before}output.LayerNorm.{name}"] for name in ("bias", "weight"))
    for name, value in found.items():
        if ".output.dense." in name:
            value.zero_()
        elif ".LayerNorm.weight" in name:
            # A normalised state has mean 0 and variance 1 over its values: this is the variance behind the last norm.
            value.fill_(float((weight.square().mean() + bias.var(correction=0)).sqrt()))
        elif ".LayerNorm.bias" in name:
            value.fill_(float(bias.mean()))
    return found


def start_weights(scales: dict[str, float]) -> dict[str, torch.Tensor]:
    """Return the weights in float32, and a head of the given scales that is 0 else."""
    weights = read_rows(FOLDER / "model.safetensors")
    layers = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))["num_hidden_layers"]
    for number in range(layers, layers + _JOINT_LAYERS):
        weights |= joint_layer(weights, source=layers - 1, number=number)
    hidden = weights["embeddings.word_embeddings.weight"].shape[1]
    head = {name: torch.tensor([value]) for name, value in scales.items()}
    head |= {"token_weight": torch.zeros(1, hidden), "linear.weight": torch.zeros(1, hidden)}
    head["linear.bias"] = torch.zeros(1)
    return weights | {f"head.{name}": value for name, value in head.items()}


def config_of() -> dict[str, Any]:
    """Return ``config.json``: the embedder's backbone, and the head."""
    stored = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    backbone = {name: value for name, value in stored.items() if name not in _NOT_OF_BACKBONE}
    return {
        "architectures": ["SegmentSimilarityReranker"],
        "model_type": "rerank_plugins_segment_similarity",
        **backbone,
        "num_hidden_layers": backbone["num_hidden_layers"] + _JOINT_LAYERS,
        "initializer_range": 0.02,
        # In the sum of a short training on a CPU dropout costs more than it gives.
        "attention_probs_dropout_prob": 0.0,
        "hidden_dropout_prob": 0.0,
        "rerank_plugins": {
            "head": "segment_similarity",
            "max_length": 512,
            "truncation": "only_second",
            "token_types": [0, 0],
            "special_tokens_in_segments": False,
            "eps": 1e-6,
            "apart_layers": backbone["num_hidden_layers"],
            "terms": ["mean_cosine", "maxsim", "exact_match", "cls_linear"],
        },
    }


def pair_tokenizer(pair: str = _PAIR) -> Tokenizer:
    """Return the embedder's tokenizer with the prefixes in its pair template."""
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    special: list[Any] = [("<s>", 0), ("</s>", 2)]
    for prefix in ("query", "passage"):
        encoded = tokenizer.encode(f"{prefix}:", add_special_tokens=False)
        special.append({"id": prefix, "ids": encoded.ids, "tokens": encoded.tokens})
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair=pair, special_tokens=special)
    return tokenizer


def write(folder: Path, weights: dict[str, torch.Tensor], pair: str = _PAIR) -> None:
    """Write the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config_of(), indent=1) + "\n", encoding="utf-8")
    tokenizer = json.loads(pair_tokenizer(pair).to_str())
    (folder / "tokenizer.json").write_text(
        json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    (folder / "tokenizer_config.json").write_text(
        (FOLDER / "tokenizer_config.json").read_text(encoding="utf-8"), encoding="utf-8"
    )


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    write(options.out, start_weights(_SCALES))


if __name__ == "__main__":
    main()
