"""Tiny language models that rerank, one of each kind that is trained, and what a training of them needs to be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_checkpoints import llm_checkpoint
from tiny_rerankers import mxbai_reranker, qwen_reranker

__all__ = ["KINDS", "Kind"]


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
