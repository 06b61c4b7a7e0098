"""Options that mean something to one kind of model only: a prompt, a layer, compression."""

from __future__ import annotations

from typing import Any

from llama_index.core.bridge.pydantic import Field, StrictInt, field_validator
from llama_index.core.schema import BaseComponent

__all__ = ["CompressionOptions", "CutoffOptions", "PromptOptions"]


class PromptOptions(BaseComponent):
    """The instruction of an LLM reranker."""

    prompt: str | None = Field(
        default=None,
        frozen=True,
        description="Instruction that tells the model what to judge; None takes the model's own.",
    )
    peft_path: str | None = Field(
        default=None, frozen=True, description="Folder or hub id of a LoRA adapter that is merged into the weights."
    )


class CutoffOptions(PromptOptions):
    """How deep a layerwise LLM reranker runs."""

    cutoff_layers: tuple[StrictInt, ...] | None = Field(
        default=None,
        description=(
            "The layer whose score counts, such as 28 or [28]; the model runs no deeper. None takes 28, or the last "
            "layer of a smaller model. Each layer has a scale of its own."
        ),
    )

    @field_validator("cutoff_layers", mode="before")
    @classmethod
    def _cutoff_as_tuple(cls, value: Any) -> Any:
        return _as_tuple(value)


class CompressionOptions(CutoffOptions):
    """How a lightweight LLM reranker runs: how deep, and with how many of the document's tokens."""

    compress_ratio: int | None = Field(
        default=None,
        strict=True,
        description="How many tokens of the text become one: 1 (off), 2, 4 or 8; None takes 1.",
    )
    compress_layers: tuple[StrictInt, ...] | None = Field(
        default=None,
        description=(
            "Layers in front of which the text is compressed, each time once more, such as [24, 40]; None takes the "
            "lowest layer that has a score (8)."
        ),
    )
    head_by_layer: bool | None = Field(
        default=None,
        strict=True,
        description=(
            "Whether the layer's own head gives the score. None and False take the first head, whatever the layer, "
            "as FlagEmbedding 1.3.5 does."
        ),
    )
    attention_softcap: bool | None = Field(
        default=None,
        strict=True,
        description=(
            "Whether attention is soft-capped as the model's config says. None and False leave it out, as "
            "FlagEmbedding 1.3.5 does."
        ),
    )

    @field_validator("compress_layers", mode="before")
    @classmethod
    def _compress_as_tuple(cls, value: Any) -> Any:
        return _as_tuple(value)


def _as_tuple(value: Any) -> Any:
    """Return a single layer as a tuple of one; anything else as it is, for pydantic to check."""
    return (value,) if isinstance(value, int) and not isinstance(value, bool) else value
