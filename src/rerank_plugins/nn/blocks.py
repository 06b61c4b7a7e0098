"""Decoder blocks in plain torch, for models that no supported version of transformers can run.

References: LLaMA's block as MiniCPM uses it and Gemma 2's block, in FlagEmbedding 1.3.5
(``inference/reranker/decoder_only/models``) on transformers 4.46.3. Parameters have the names of the checkpoints.
The tokens of a batch form one packed row, without padding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from rerank_plugins.nn.attention import attend, attend_softcapped
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.nn.row_blocks import fed_in_blocks

__all__ = ["ACTIVATIONS", "DecoderShape", "Gemma2Block", "MiniCPMBlock", "RMSNorm", "Rotary", "rotary_of"]

Rotary = tuple[torch.Tensor, torch.Tensor]
"""Cosines and sines of every token's position. Shape of each: (tokens, 1, head_dim), float32."""

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": functional.silu,
    "gelu_pytorch_tanh": partial(functional.gelu, approximate="tanh"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderShape:
    """Sizes and constants of one model, read from its ``config.json``.

    Attributes:
        vocab_size: Rows of the embedding matrix.
        hidden_size: Width of a token state.
        intermediate_size: Width inside the feed-forward part.
        n_layers: Number of blocks.
        n_heads: Query heads.
        n_kv_heads: Key and value heads.
        head_dim: Width of a head.
        eps: Added to the mean square in norms.
        rope_theta: Base of the rotary frequencies.
        activation: A key of ``ACTIVATIONS``.
        embed_scale: Factor of token embeddings.
        residual_scale: Factor of what a block adds.
        attention_scale: Factor of attention logits.
        attention_softcap: Bound of attention logits where a call asks for it; None if the config has none.
        final_softcap: Bound of scores; None for none.
        window: Tokens that blocks with an even index look back at most, the own one included; None for all.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    eps: float
    rope_theta: float
    activation: str
    embed_scale: float
    residual_scale: float
    attention_scale: float
    attention_softcap: float | None = None
    final_softcap: float | None = None
    window: int | None = None


class RMSNorm(nn.Module):
    """Root mean square norm, computed in float32.

    Args:
        size: Width.
        eps: Added to the mean square.
        offset: Added to the weight: 1 for Gemma, whose stored weights are differences to 1.
    """

    def __init__(self, size: int, *, eps: float, offset: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size))
        self._eps, self._offset = eps, offset

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return the normed states, in their own precision."""
        wide = states.float()
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self._eps)
        return (normed * (self.weight.float() + self._offset)).to(states.dtype)


class Attention(nn.Module):
    """Causal attention with rotary positions and shared key and value heads.

    Args:
        shape: The model.
        window: Tokens looked back at; None for all.
    """

    def __init__(self, shape: DecoderShape, *, window: int | None) -> None:
        super().__init__()
        inner, shared = shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim
        self.q_proj = nn.Linear(shape.hidden_size, inner, bias=False)
        self.k_proj = nn.Linear(shape.hidden_size, shared, bias=False)
        self.v_proj = nn.Linear(shape.hidden_size, shared, bias=False)
        self.o_proj = nn.Linear(inner, shape.hidden_size, bias=False)
        self._head_dim, self._scale, self._window = shape.head_dim, shape.attention_scale, window

    def forward(self, states: torch.Tensor, rotary: Rotary, row: PackedRow, softcap: float | None) -> torch.Tensor:
        """Return what the block adds. Shape: (tokens, hidden).

        Args:
            states: Shape: (tokens, hidden).
            rotary: Of the same tokens.
            row: Where the texts lie; they continue no other ones if there is a ``softcap``.
            softcap: Bound of attention logits; None for none.
        """
        heads = (len(states), -1, self._head_dim)
        query = _rotated(self.q_proj(states).view(heads), rotary)
        key = _rotated(self.k_proj(states).view(heads), rotary)
        value = self.v_proj(states).view(heads)
        if softcap is None:
            mixed = attend(query, key, value, row, scale=self._scale, is_causal=True, window=self._window)
        else:
            mixed = attend_softcapped(query, key, value, row, scale=self._scale, softcap=softcap, window=self._window)
        added: torch.Tensor = self.o_proj(mixed.flatten(1))
        return added


class FeedForward(nn.Module):
    """Gated feed-forward part."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)
        self._activation = ACTIVATIONS[shape.activation]

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return what the block adds. Shape: (tokens, hidden)."""
        return fed_in_blocks(self._added, states)

    def _added(self, states: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = self.down_proj(self._activation(self.gate_proj(states)) * self.up_proj(states))
        return added


class MiniCPMBlock(nn.Module):
    """LLaMA's block; what it adds is scaled down by the depth of the model."""

    norm_offset = 0.0

    def __init__(self, shape: DecoderShape, _index: int) -> None:
        super().__init__()
        self.self_attn = Attention(shape, window=None)
        self.mlp = FeedForward(shape)
        self.input_layernorm = RMSNorm(shape.hidden_size, eps=shape.eps)
        self.post_attention_layernorm = RMSNorm(shape.hidden_size, eps=shape.eps)
        self._scale = shape.residual_scale

    def forward(self, states: torch.Tensor, rotary: Rotary, row: PackedRow, softcap: float | None) -> torch.Tensor:
        """Return the next token states. Shape: (tokens, hidden)."""
        states = states + self.self_attn(self.input_layernorm(states), rotary, row, softcap) * self._scale
        next_states: torch.Tensor = states + self.mlp(self.post_attention_layernorm(states)) * self._scale
        return next_states


class Gemma2Block(nn.Module):
    """Gemma 2's block: a norm before and after each part; every other block has a sliding window."""

    norm_offset = 1.0

    def __init__(self, shape: DecoderShape, index: int) -> None:
        super().__init__()
        self.self_attn = Attention(shape, window=shape.window if index % 2 == 0 else None)
        self.mlp = FeedForward(shape)
        norm = partial(RMSNorm, shape.hidden_size, eps=shape.eps, offset=self.norm_offset)
        self.input_layernorm = norm()
        self.post_attention_layernorm = norm()
        self.pre_feedforward_layernorm = norm()
        self.post_feedforward_layernorm = norm()

    def forward(self, states: torch.Tensor, rotary: Rotary, row: PackedRow, softcap: float | None) -> torch.Tensor:
        """Return the next token states. Shape: (tokens, hidden)."""
        attended = self.self_attn(self.input_layernorm(states), rotary, row, softcap)
        states = states + self.post_attention_layernorm(attended)
        fed = self.mlp(self.pre_feedforward_layernorm(states))
        next_states: torch.Tensor = states + self.post_feedforward_layernorm(fed)
        return next_states


def rotary_of(positions: torch.Tensor, *, head_dim: int, theta: float) -> Rotary:
    """Return the cosines and sines of positions. Shape of ``positions``: (tokens,)."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=positions.device) / head_dim
    angles = torch.outer(positions.float(), theta**-exponents)
    both_halves = torch.cat([angles, angles], dim=-1).unsqueeze(1)
    return both_halves.cos(), both_halves.sin()


def _rotated(states: torch.Tensor, rotary: Rotary) -> torch.Tensor:
    """Turn queries or keys by their positions. Shape: (tokens, heads, head_dim)."""
    cos, sin = rotary
    wide = states.float()
    first, second = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat([-second, first], dim=-1) * sin).to(states.dtype)
