"""Language models with heads on several layers as a training takes them.

They run on the decoder in plain torch that inference runs (:mod:`rerank_plugins.nn.layered_decoder`), with any
supported transformers and without the checkpoint's own code; a lightweight one also through its compression.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from rerank_plugins.catalog.layers import LayerRange
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.scorers.layered import LayeredParts
from rerank_plugins.scorers.trained import TrainedModule
from rerank_plugins.types import LayerOptions

__all__ = ["LayeredModule", "LayeredNetwork"]


class LayeredNetwork(nn.Module):
    """A decoder and its heads by the names of the published checkpoints, so that adapters made elsewhere fit.

    Args:
        parts: What was read.
        config: The checkpoint's ``config.json``.
    """

    def __init__(self, parts: LayeredParts, config: dict[str, Any]) -> None:
        super().__init__()
        self.model = parts.decoder
        rows = list(parts.heads.values())
        self._is_shared = len(rows) == 1 and parts.layers.last > parts.layers.first
        self.lm_head: Any = LayerHead(rows[0]) if self._is_shared else nn.ModuleList(map(LayerHead, rows))
        self.config = config

    def head(self, place: int) -> Any:
        """Return the head of a layer, counted from the lowest one that has one."""
        return (self.lm_head if self._is_shared else self.lm_head[place]).linear_head

    def get_input_embeddings(self) -> nn.Module:
        """Return the word embeddings, by transformers' name for that."""
        return self.model.embed_tokens

    def activation_checkpointing_enable(self, *_args: Any, **_options: Any) -> None:
        """Compute the blocks twice in a backward pass, whatever the Trainer of the day says of how."""
        self.model.recomputes = True

    # Its name in transformers 4.
    gradient_checkpointing_enable = activation_checkpointing_enable


class LayerHead(nn.Module):
    """A head: one row.

    Args:
        row: Shape: (1, hidden).
    """

    def __init__(self, row: Tensor) -> None:
        super().__init__()
        self.linear_head = nn.Linear(row.shape[1], 1, bias=False)
        self.linear_head.weight = nn.Parameter(row.clone())


class LayeredModule(TrainedModule):
    """All heads at once in training mode, and in evaluation mode the one that inference takes.

    Args:
        network: The decoder and its heads.
        layers: The layers with heads.
        measured: What inference asks for; complete.
        final_softcap: Bound of scores; None for none.
    """

    network: LayeredNetwork

    def __init__(
        self, network: LayeredNetwork, *, layers: LayerRange, measured: LayerOptions, final_softcap: float | None
    ) -> None:
        super().__init__(network)
        self._first = layers.first
        self._all = replace(measured, cutoff_layers=tuple(range(layers.first, layers.last + 1)))
        self._measured, self._final_softcap = measured, final_softcap

    def forward(self, input_ids: Tensor, attention_mask: Tensor, segments: Tensor) -> dict[str, Tensor]:
        """Return the scores of pairs that are padded on the right, as ``logits``, the lowest layer first.

        Args:
            input_ids: Shape: (pairs, longest), int64.
            attention_mask: 1 for tokens, 0 for padding. Shape: (pairs, longest).
            segments: Where query and document lie, of which the document is what may be compressed. Shape: (pairs, 4).

        Returns:
            Shape of ``logits``: (pairs, layers), float32; (pairs, 1) in evaluation mode.
        """
        lengths, documents = attention_mask.sum(dim=1).tolist(), segments[:, 2:].tolist()
        row = PackedRow(lengths, input_ids.device, documents=[(start, end) for start, end in documents])
        options = self._all if self.training else self._measured
        states = self.network.model(input_ids[attention_mask.bool()], row, options)
        heads = [self.network.head(layer - self._first) for layer in options.cutoff_layers or ()]
        with torch.autocast(device_type=states.device.type, enabled=False):
            scores = torch.cat([head(state) for head, state in zip(heads, states, strict=True)], dim=1)
            if self._final_softcap is not None:
                scores = self._final_softcap * torch.tanh(scores / self._final_softcap)
        return {"logits": scores}
