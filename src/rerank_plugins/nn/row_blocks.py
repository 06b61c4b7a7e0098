"""Feed-forward parts of decoders on some tokens at a time, because what is inside is several times as wide as a state.

A batch of 2,048 tokens through a part of 4,096 numbers holds three matrices of 32 MB at once, and the C library keeps
as much again that was freed. In blocks of 768 tokens it is little more than a third.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any

import torch

__all__ = ["BLOCK_TOKENS", "feed_in_blocks", "feed_whole", "in_row_blocks"]

BLOCK_TOKENS = 768
"""Tokens of a block. Smaller ones need less memory, and more time, because each lays the weights out anew.

For a decoder of 133 MB (Intel with AMX, two cores, float32) a request's peak is 1.18 times weights and one batch with
512 tokens, 1.22 with 768, 1.36 with 1,024 and 1.68 with all at once; 512 take some 10 % longer than all at once, 768 up
to 6 %, 1,024 some 2 %.
"""

_GATED = frozenset({"gate_proj", "up_proj", "down_proj"})


def in_row_blocks(function: Callable[[torch.Tensor], torch.Tensor], states: torch.Tensor) -> torch.Tensor:
    """Return a function's result, which it gives for each token alone and as wide as the token's state.

    On a CPU it gets :data:`BLOCK_TOKENS` tokens at a time; all of them where gradients are computed, which need
    everything at the end, and elsewhere, where a launch costs more than memory.

    Args:
        function: Keeps the shape.
        states: Shape: (..., tokens, hidden).
    """
    n_tokens = states.shape[-2]
    if n_tokens <= BLOCK_TOKENS or states.device.type != "cpu" or torch.is_grad_enabled():
        return function(states)
    found = torch.empty_like(states)
    for start in range(0, n_tokens, BLOCK_TOKENS):
        block = slice(start, start + BLOCK_TOKENS)
        found[..., block, :] = function(states[..., block, :])
    return found


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
    return in_row_blocks(partial(type(module).forward, module), states)
