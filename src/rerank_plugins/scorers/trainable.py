"""A cross-encoder of this project's own format as one torch module on padded tensors, as trainers take it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rerank_plugins.catalog.own_format import OwnFormat
from rerank_plugins.nn.apart import padded_states
from rerank_plugins.nn.backbone import TokenStates
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.protocols import Batch, PairSegments, TokenInput
from rerank_plugins.scorers.cross_encoder import load_segment_similarity
from rerank_plugins.weights.base import LoadRequest

__all__ = ["SegmentSimilarityModel"]


class SegmentSimilarityModel(nn.Module):
    """The model of this project's own format: a BERT backbone, and the head that compares the two texts.

    Args:
        request: What to load.
        own: The checkpoint's own format.

    Raises:
        UnsupportedModelError: The weights do not fit the config, or some are missing.
    """

    def __init__(self, request: LoadRequest, own: OwnFormat) -> None:
        super().__init__()
        backbone, head = load_segment_similarity(request, own, is_trained=True)
        self.backbone, self.head = backbone, head
        self._n_apart = own.apart_layers
        # The Trainer's switch for computing activations twice, by its names in transformers 4 and 5.
        for name in ("gradient_checkpointing_enable", "activation_checkpointing_enable"):
            if hasattr(backbone, name):
                setattr(self, name, getattr(backbone, name))

    @property
    def config(self) -> Any:
        """The backbone's."""
        return self.backbone.config

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, segments: Tensor
    ) -> dict[str, Tensor]:
        """Return the logits of padded pairs, as ``logits``. Shape: (inputs, 1)."""
        lengths = attention_mask.sum(dim=1).tolist()
        ids = input_ids.int().cpu().numpy()
        inputs = [
            TokenInput(ids[row, :length], ids[row, :length], PairSegments(*bounds))
            for row, (length, bounds) in enumerate(zip(lengths, segments.tolist(), strict=True))
        ]
        states = self._states(input_ids, attention_mask, token_type_ids, inputs)
        flat = states[attention_mask.bool()].float()
        return {"logits": self.head(TokenStates(flat, PackedRow(lengths, device=flat.device)), Batch(inputs))}

    def _states(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor, inputs: list[TokenInput]
    ) -> Tensor:
        if not self._n_apart:
            found: Tensor = self.backbone(
                input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
            ).last_hidden_state
            return found
        starts = torch.tensor([one.second_start for one in inputs], device=input_ids.device)
        return padded_states(
            self.backbone, input_ids, attention_mask, token_type_ids, starts=starts, n_apart=self._n_apart
        )
