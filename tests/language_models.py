"""Tiny language models that rerank, one of each kind that is trained, and what a training of them needs to be told."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from llm_checkpoints import llm_checkpoint
from safetensors.torch import load_file, save_file
from tiny_rerankers import mxbai_reranker, qwen_reranker

__all__ = ["KINDS", "Kind", "raw_minicpm"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of model.

    Attributes:
        name: What it is called in tests.
        settings: What a training is told beside the usual.
        has_layers: Whether it has heads on several layers.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    has_layers: bool = False

    def folder(self, scratch: Path) -> Path:
        """Return its checkpoint; one that is not committed is written into a folder."""
        if self.name.startswith("qwen3"):
            return qwen_reranker(scratch / self.name, tied=self.name == "qwen3")
        if self.name == "mxbai":
            return mxbai_reranker(scratch / self.name)
        names = {"gemma": "tiny-gemma", "layerwise": "tiny-minicpm-layerwise"}
        return llm_checkpoint(names.get(self.name, "tiny-gemma2-lightweight"))


KINDS = {
    one.name: one
    for one in (
        Kind("gemma", {"family": "bge"}),
        Kind("qwen3", {"family": "qwen3"}),
        Kind("qwen3-untied", {"family": "qwen3"}),
        Kind("mxbai", {"family": "mxbai-v2"}),
        Kind("layerwise", has_layers=True),
        Kind("lightweight", has_layers=True),
        Kind("lightweight-compressed", {"compress_ratio": 2, "compress_layers": (3,)}, has_layers=True),
    )
}


def raw_minicpm(folder: Path, *, tied: bool) -> Path:
    """Write a MiniCPM without heads, as the one is that the layerwise model was made of."""
    source = llm_checkpoint("tiny-minicpm-layerwise")
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((source / name).read_bytes())
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    for name in ("start_layer", "head_multi", "head_type"):
        del config[name]
    config |= {"architectures": ["MiniCPMForCausalLM"], "tie_word_embeddings": tied}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    weights = {name: one for name, one in load_file(source / "model.safetensors").items() if "lm_head" not in name}
    if not tied:
        generator = torch.Generator().manual_seed(5)
        weights["lm_head.weight"] = torch.randn(config["vocab_size"], config["hidden_size"], generator=generator)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder
