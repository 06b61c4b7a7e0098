"""Functions that work row by row, run on some rows at a time, and the feed-forward parts of decoders run so.

What is inside such a part is several times as wide as a state: a batch of 2,048 tokens through 4,096 numbers holds
three matrices of 32 MB at once, and the C library keeps as much again that was freed. In blocks of 768 tokens it is
little more than a third.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any

import torch

__all__ = ["BLOCK_TOKENS", "fed_in_blocks", "feed_in_blocks", "feed_whole", "in_blocks"]

BLOCK_TOKENS = 768
"""Tokens of a block. Smaller ones need less memory, and more time, because each lays the weights out anew.

For a decoder of 133 MB (Intel with AMX, two cores, float32) a request's peak is 1.18 times weights and one batch with
512 tokens, 1.22 with 768, 1.36 with 1,024 and 1.68 with all at once; 512 take some 10 % longer than all at once, 768 up
to 6 %, 1,024 some 2 %.
"""

_GATED = frozenset({"gate_proj", "up_proj", "down_proj"})


def in_blocks(function: Callable[..., torch.Tensor], *, n_rows: int) -> Callable[..., torch.Tensor]:
    """Return a function of matrices that works row by row, run on a number of rows at a time.

    Args:
        function: Takes matrices with equally many rows and gives one. Shapes: (..., rows, columns).
        n_rows: Rows of a block.
    """

    def run(*matrices: torch.Tensor) -> torch.Tensor:
        if matrices[0].shape[-2] <= n_rows:
            return function(*matrices)
        blocks = zip(*(torch.split(one, n_rows, dim=-2) for one in matrices), strict=True)
        return torch.cat([function(*block) for block in blocks], dim=-2)

    return run


def fed_in_blocks(function: Callable[[torch.Tensor], torch.Tensor], states: torch.Tensor) -> torch.Tensor:
    """Return what a decoder's feed-forward part gives.

    On a CPU it gets :data:`BLOCK_TOKENS` tokens at a time; all of them where gradients are computed, which need
    everything at the end, and elsewhere, where a launch costs more than memory.

    Args:
        function: The part.
        states: Shape: (..., tokens, hidden).
    """
    if states.device.type != "cpu" or torch.is_grad_enabled():
        return function(states)
    return in_blocks(function, n_rows=BLOCK_TOKENS)(states)


def feed_in_blocks(model: Any) -> None:
    """Let the gated feed-forward parts of a transformers model run in blocks: modules of three products and no more.

    Parts with experts, or of another make, stay as they are.
    """
    for module in model.modules():
        linear = {name for name, child in module.named_children() if isinstance(child, torch.nn.Linear)}
        if linear == _GATED and "forward" not in vars(module):
            # A bound method, so that a copy of the model has its own.
            module.forward = MethodType(_forward_in_blocks, module)


def feed_whole(model: Any) -> None:
    """Take back what :func:`feed_in_blocks` did: a compiler would make another graph where the blocks begin."""
    for module in model.modules():
        if getattr(vars(module).get("forward"), "__func__", None) is _forward_in_blocks:
            del module.forward


def _forward_in_blocks(module: Any, states: torch.Tensor) -> torch.Tensor:
    return fed_in_blocks(partial(type(module).forward, module), states)
