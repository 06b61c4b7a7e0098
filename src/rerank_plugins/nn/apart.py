"""Lower layers in which the two texts of a pair do not see each other (PreTTR, MacAvaney et al. 2020, 2004.14255).

Each part has its own special tokens and positions from 0, so those layers give what a bi-encoder gives for each text
alone. A cross-encoder that is made of a bi-encoder ranks like its cosines before its first step this way; with full
attention the mean states of both texts become nearly equal, and that order is lost. The layers above see the whole
pair.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rerank_plugins.protocols import Batch

__all__ = ["apart_lengths", "padded_states"]


def apart_lengths(batch: Batch) -> list[int]:
    """Return the lengths of the parts of all inputs, in order."""
    lengths: list[int] = []
    for one in batch.inputs:
        start = one.second_start
        lengths += [start, len(one) - start] if start < len(one) else [start]
    return lengths


def padded_states(
    backbone: Any, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, *, starts: Tensor, n_apart: int
) -> Tensor:
    """Return the final states of padded pairs by transformers' own layers, for training.

    Args:
        backbone: A ``BertModel``.
        input_ids: Shape: (inputs, longest).
        attention_mask: The same shape.
        token_type_ids: The same shape.
        starts: Where each second part begins. Shape: (inputs,).
        n_apart: Number of the lowest layers in which the parts are apart.

    Returns:
        Shape: (inputs, longest, hidden).
    """
    places = torch.arange(input_ids.shape[1], device=input_ids.device)
    is_second = places >= starts.unsqueeze(1)
    states: Tensor = backbone.embeddings(
        input_ids=input_ids, token_type_ids=token_type_ids, position_ids=places - is_second * starts.unsqueeze(1)
    )
    seen = attention_mask.bool()[:, None, None, :]
    same = (is_second.unsqueeze(2) == is_second.unsqueeze(1)).unsqueeze(1)
    lowest = torch.finfo(states.dtype).min
    apart, whole = (
        torch.zeros(one.shape, dtype=states.dtype, device=states.device).masked_fill(~one, lowest)
        for one in (seen & same, seen.expand_as(same))
    )
    for number, layer in enumerate(backbone.encoder.layer):
        found = layer(states, apart if number < n_apart else whole)
        states = found if isinstance(found, Tensor) else found[0]  # a tuple in transformers 4
    return states
