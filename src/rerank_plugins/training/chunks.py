"""A batch in a few forward passes of rows of similar length, so that less is padded.

The rows of a batch belong together in the loss alone, so their scores may come from several passes. The time of a pass
is that of its slots, padding included, and answers of any length side by side fill half of the slots with padding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

__all__ = ["logits_in_chunks", "pass_cost_on", "similar_lengths"]

_PER_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
"""Tensors of shape (rows, longest)."""

_PASS_COSTS_ON_CPU, _PASS_COSTS_ON_GPU = 256, 16_384
"""Slots whose time another pass takes: little more than the starts of its kernels, which a GPU waits for."""

_STEP = 8
"""Lengths are told apart by so many tokens."""


def similar_lengths(lengths: Sequence[int], *, pass_cost: int) -> list[list[int]]:
    """Return rows in chunks of similar length, so that slots and passes together cost the least.

    Args:
        lengths: Tokens of each row.
        pass_cost: Slots whose time one more pass takes.

    Returns:
        The rows of each chunk; longest first, and in order where they are as long.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    steps = [-(-lengths[row] // _STEP) * _STEP for row in order]
    # Rows of one step are never parted: ends[i] is where those up to the i-th step end.
    ends = [0, *(place for place in range(1, len(order)) if steps[place] != steps[place - 1]), len(order)]
    best, starts = [0], [0]
    for upto in range(1, len(ends)):
        costs = [best[at] + pass_cost + steps[ends[at]] * (ends[upto] - ends[at]) for at in range(upto)]
        starts.append(min(range(upto), key=costs.__getitem__))
        best.append(costs[starts[-1]])
    chunks, upto = [], len(ends) - 1
    while upto:
        chunks.append(order[ends[starts[upto]] : ends[upto]])
        upto = starts[upto]
    return chunks[::-1]


def pass_cost_on(device: torch.device) -> int:
    """Return the slots whose time one more pass takes."""
    return _PASS_COSTS_ON_CPU if device.type == "cpu" else _PASS_COSTS_ON_GPU


def logits_in_chunks(model: Callable[..., Mapping[str, Tensor]], tensors: Mapping[str, Tensor]) -> Tensor:
    """Return a model's logits of a batch, in its order. Shape: (rows, ...).

    Args:
        model: Takes the tensors and gives ``logits``.
        tensors: Of padded rows, on either side; what is not of shape (rows, longest) has a row for each.
    """
    mask = tensors["attention_mask"]
    lengths = mask.sum(dim=1).tolist()
    chunks = similar_lengths(lengths, pass_cost=pass_cost_on(mask.device))
    if len(chunks) == 1:
        return model(**tensors)["logits"]
    pads_right = bool(mask[:, 0].all())
    found = [model(**_cut(tensors, rows, lengths[rows[0]], pads_right=pads_right))["logits"] for rows in chunks]
    order = torch.tensor([row for rows in chunks for row in rows], device=mask.device)
    return torch.cat(found)[torch.argsort(order)]


def _cut(tensors: Mapping[str, Tensor], rows: list[int], longest: int, *, pads_right: bool) -> dict[str, Tensor]:
    """Return some rows, without the slots that are padding in all of them."""
    chosen = torch.tensor(rows, device=tensors["attention_mask"].device)
    part = slice(0, longest) if pads_right else slice(-longest, None)
    return {name: tensor[chosen][:, part] if name in _PER_TOKEN else tensor[chosen] for name, tensor in tensors.items()}
