"""The head of the mini reranker: it compares the two segments of one joint forward pass.

A new classifier on the first token has to learn relevance from nothing. A backbone that was trained as a
bi-encoder already expresses it by the angle between token states. The logit is

    mean_scale * cos(mean of query states, mean of document states)
    + sum over query tokens of weight * (maxsim_scale * best cosine to a document token
                                         + exact_scale * [the token occurs in the document])
    + linear(state of the first token)

with weight = softmax over query tokens of (state . token_weight); special tokens are in no segment.
Late interaction (MaxSim): Khattab & Zaharia 2020, arXiv:2004.12832, here inside a cross-encoder.
The recipe that trains it is in ``models/mini/train``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.nn.backbone import TokenStates
from rerank_plugins.protocols import Batch

__all__ = ["SegmentSimilarityHead"]


class SegmentSimilarityHead(nn.Module):
    """Scores pairs from their final token states, in float32.

    Args:
        hidden_size: Width of a token state.
        eps: Least length of a state in a cosine.
    """

    def __init__(self, hidden_size: int, *, eps: float) -> None:
        super().__init__()
        self._eps = eps
        self.mean_scale = nn.Parameter(torch.ones(1))
        self.maxsim_scale = nn.Parameter(torch.ones(1))
        self.exact_scale = nn.Parameter(torch.ones(1))
        self.token_weight = nn.Parameter(torch.zeros(1, hidden_size))
        self.linear = nn.Linear(hidden_size, 1)

    @classmethod
    def from_weights(cls, weights: dict[str, torch.Tensor], *, hidden_size: int, eps: float) -> SegmentSimilarityHead:
        """Return the head of a checkpoint, whose weights are named ``head.*``.

        Raises:
            UnsupportedModelError: Some are missing.
        """
        head = cls(hidden_size, eps=eps)
        own = {name.removeprefix("head."): value for name, value in weights.items() if name.startswith("head.")}
        missing = sorted(set(head.state_dict()) - set(own))
        if missing:
            msg = f"the checkpoint lacks the weights {missing} of its head; download it again"
            raise UnsupportedModelError(msg)
        head.load_state_dict(own)
        return head.float().eval()

    def forward(self, token_states: TokenStates, batch: Batch) -> torch.Tensor:
        """Return logits.

        Args:
            token_states: Final token states.
            batch: The pairs, for their ids and segments.

        Returns:
            Shape: (inputs, 1), float32.
        """
        states = token_states.padded()
        ids, in_query, in_document = (tensor.to(states.device) for tensor in _layout(batch, states.shape[1]))
        cosine = nn.functional.cosine_similarity(
            _masked_mean(states, in_query), _masked_mean(states, in_document), dim=-1, eps=self._eps
        )
        # Query tokens come first, so the rows that can matter end with the query that ends last.
        n_query = max(one.segments.query_end for one in batch.inputs if one.segments is not None)
        unit = nn.functional.normalize(states, dim=-1, eps=self._eps)
        outside = ~in_document.unsqueeze(1)
        similarity = (unit[:, :n_query] @ unit.transpose(1, 2)).masked_fill(outside, -1.0).amax(-1)
        equal = (ids[:, :n_query].unsqueeze(2) == ids.unsqueeze(1)).masked_fill(outside, value=False)
        tokens = self.maxsim_scale * similarity + self.exact_scale * equal.any(-1)
        is_query = in_query[:, :n_query]
        gate = (states[:, :n_query] @ self.token_weight[0]).masked_fill(~is_query, -1e4)
        weights = gate.softmax(-1) * is_query
        logits = self.mean_scale * cosine + (weights * tokens).sum(-1) + self.linear(states[:, 0]).squeeze(-1)
        scores: torch.Tensor = logits.unsqueeze(1)
        return scores


def _masked_mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean over the marked tokens, zero where none is marked. Shape: (inputs, hidden)."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)


def _layout(batch: Batch, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return ids (padded with -1), query mask and document mask. Shape of each: (inputs, width)."""
    ids = torch.full((len(batch), width), -1, dtype=torch.int64)
    positions = torch.arange(width).unsqueeze(0)
    bounds: list[Any] = [one.segments for one in batch.inputs]
    for row, one in enumerate(batch.inputs):
        ids[row, : len(one)] = torch.from_numpy(one.ids)
    starts = torch.tensor([[s.query_start, s.document_start] for s in bounds])
    ends = torch.tensor([[s.query_end, s.document_end] for s in bounds])
    masks = [(positions >= starts[:, side, None]) & (positions < ends[:, side, None]) for side in (0, 1)]
    return ids, masks[0], masks[1]
