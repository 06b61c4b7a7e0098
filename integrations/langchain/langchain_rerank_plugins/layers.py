"""Options that mean something to one kind of model only: a prompt, a layer, compression."""

from __future__ import annotations

from pydantic import BaseModel

from rerank_plugins.fields import Count, LayerNumbers, Name, Switch, Text, option

__all__ = ["CompressionOptions", "CutoffOptions", "PromptOptions"]


class PromptOptions(BaseModel):
    """The instruction of an LLM reranker."""

    prompt: Text | None = option("prompt", None)
    peft_path: Name | None = option("peft_path", None)


class CutoffOptions(PromptOptions):
    """How deep a layerwise LLM reranker runs."""

    cutoff_layers: LayerNumbers | None = option("cutoff_layers", None, frozen=False)


class CompressionOptions(CutoffOptions):
    """How a lightweight LLM reranker runs: how deep, and with how many of the document's tokens."""

    compress_ratio: Count | None = option("compress_ratio", None, frozen=False)
    compress_layers: LayerNumbers | None = option("compress_layers", None, frozen=False)
    head_by_layer: Switch | None = option("head_by_layer", None, frozen=False)
    attention_softcap: Switch | None = option("attention_softcap", None, frozen=False)
