"""The request to load a model and the loaded model, the same for every family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.lora_files import LoraFiles
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.protocols import Scorer
from rerank_plugins.text.tokenizer import TextTokenizer

if TYPE_CHECKING:
    import torch

__all__ = ["CheckpointRequest", "LoadRequest", "LoadedParts", "ScorerLoader"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRequest:
    """What is asked of a checkpoint, whatever runs it.

    Attributes:
        spec: How the model is used.
        files: Its checkpoint.
        allow_pickle: Accept ``*.bin`` weights.
        trust_remote_code: Let transformers run code from the checkpoint.
    """

    spec: ModelSpec
    files: CheckpointFiles
    allow_pickle: bool = False
    trust_remote_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest(CheckpointRequest):
    """Everything a loader needs that runs it with torch.

    Attributes:
        device: Where it shall run.
        dtype: Precision of the backbone's weights as they are read.
        lora: A LoRA adapter to merge into the weights; None for none.
        int8: Whether its products shall run in 8-bit integers afterwards.
    """

    device: torch.device
    dtype: torch.dtype
    lora: LoraFiles | None = None
    int8: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedParts:
    """A loaded model: its tokenizer (texts to ids) and its scorer (ids to rows).

    Attributes:
        tokenizer: Its tokenizer.
        scorer: Its forward pass.
        special_tokens: Whether texts are wrapped in the tokenizer's special tokens.
        runs_int8: Whether products run in 8-bit integers, as was asked.
    """

    tokenizer: TextTokenizer
    scorer: Scorer
    special_tokens: bool = True
    runs_int8: bool = False


ScorerLoader = Callable[[LoadRequest], LoadedParts]
"""Loads one model; raises a ModelError with the way out if it cannot."""
