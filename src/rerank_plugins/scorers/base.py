"""What loading a model takes and gives, whatever its family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.protocols import Batch, Scorer
from rerank_plugins.text.tokenizer import TextEncoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["LoadRequest", "LoadedParts", "ScorerLoader", "padded_tensors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """Everything a loader needs.

    Attributes:
        spec: How the model is used.
        files: Its checkpoint.
        device: Where it shall run.
        dtype: Precision of the backbone.
        allow_pickle: Accept ``*.bin`` weights.
        trust_remote_code: Let transformers run code from the checkpoint.
    """

    spec: ModelSpec
    files: CheckpointFiles
    device: torch.device
    dtype: torch.dtype
    allow_pickle: bool = False
    trust_remote_code: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedParts:
    """A model in memory: what turns texts into ids, and what turns ids into numbers.

    Attributes:
        encoder: Its tokenizer.
        scorer: Its forward pass.
        special_tokens: Whether texts are wrapped in the tokenizer's special tokens.
    """

    encoder: TextEncoder
    scorer: Scorer
    special_tokens: bool = True


ScorerLoader = Callable[[LoadRequest], LoadedParts]
"""Loads one model; raises a ModelError with the way out if it cannot."""


def padded_tensors(batch: Batch, model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """Return a batch as the right-padded tensors that every transformers encoder takes.

    Returns:
        ``input_ids``, ``attention_mask`` and, for models with more than one segment,
        ``token_type_ids``. Shape of each: (inputs, max tokens), int64, on the model's device.
    """
    config = model.config
    shape = (len(batch), max(batch.lengths))
    ids = torch.full(shape, config.pad_token_id or 0, dtype=torch.int64)
    mask = torch.zeros(shape, dtype=torch.int64)
    types = torch.zeros(shape, dtype=torch.int64)
    for row, one in enumerate(batch.inputs):
        length = len(one)
        ids[row, :length] = torch.from_numpy(one.ids)
        mask[row, :length] = 1
        types[row, :length] = torch.from_numpy(one.type_ids)
    tensors = {"input_ids": ids, "attention_mask": mask}
    if getattr(config, "type_vocab_size", 0) > 1:
        tensors["token_type_ids"] = types
    return {name: tensor.to(model.device) for name, tensor in tensors.items()}
