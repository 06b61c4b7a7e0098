"""Parts of a decoder in plain torch, for models that no supported transformers can run.

References: LLaMA's block as MiniCPM uses it and Gemma 2's block, in FlagEmbedding 1.3.5
(``inference/reranker/decoder_only/models``) on transformers 4.46.3. Parameters have the names of the checkpoints.
Batches are padded on the right: a decoder looks back only, so that no token sees padding and no mask is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional

__all__ = ["ACTIVATIONS", "DecoderShape", "Gemma2Block", "MiniCPMBlock", "RMSNorm", "Rotary", "rotary_tables"]

Rotary = tuple[torch.Tensor, torch.Tensor]
"""Cosines and sines of every position. Shape of each: (positions, head_dim), float32."""

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
        self._groups = shape.n_heads // shape.n_kv_heads

    def forward(self, states: torch.Tensor, rotary: Rotary, softcap: float | None) -> torch.Tensor:
        """Return what the block adds. Shape: (inputs, tokens, hidden).

        Args:
            states: Shape: (inputs, tokens, hidden).
            rotary: At least as many positions as tokens.
            softcap: Bound of attention logits; None for none.
        """
        n_inputs, n_tokens, _ = states.shape
        heads = (n_inputs, n_tokens, -1, self._head_dim)
        query = _rotated(self.q_proj(states).view(heads).transpose(1, 2), rotary)
        key = _rotated(self.k_proj(states).view(heads).transpose(1, 2), rotary)
        value = self.v_proj(states).view(heads).transpose(1, 2)
        if self._groups > 1:
            key, value = key.repeat_interleave(self._groups, dim=1), value.repeat_interleave(self._groups, dim=1)
        is_windowed = self._window is not None and n_tokens > self._window
        if softcap is None and not is_windowed:
            mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=self._scale)
        else:
            visible = _visible(n_tokens, window=self._window, device=states.device)
            mixed = self._masked(query, key, value, visible, softcap)
        added: torch.Tensor = self.o_proj(mixed.transpose(1, 2).reshape(n_inputs, n_tokens, -1))
        return added

    def _masked(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        visible: torch.Tensor,
        softcap: float | None,
    ) -> torch.Tensor:
        if softcap is None:
            return functional.scaled_dot_product_attention(query, key, value, attn_mask=visible, scale=self._scale)
        logits = (query @ key.transpose(2, 3)).float() * self._scale
        logits = softcap * torch.tanh(logits / softcap)
        weights = logits.masked_fill(~visible, float("-inf")).softmax(dim=-1)
        return weights.to(value.dtype) @ value


class FeedForward(nn.Module):
    """Gated feed-forward part."""

    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.up_proj = nn.Linear(shape.hidden_size, shape.intermediate_size, bias=False)
        self.down_proj = nn.Linear(shape.intermediate_size, shape.hidden_size, bias=False)
        self._activation = ACTIVATIONS[shape.activation]

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Return what the block adds. Shape: (inputs, tokens, hidden)."""
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

    def forward(self, states: torch.Tensor, rotary: Rotary, softcap: float | None) -> torch.Tensor:
        """Return the next token states. Shape: (inputs, tokens, hidden)."""
        states = states + self.self_attn(self.input_layernorm(states), rotary, softcap) * self._scale
        next_states: torch.Tensor = states + self.mlp(self.post_attention_layernorm(states)) * self._scale
        return next_states


class Gemma2Block(nn.Module):
    """Gemma 2's block: a norm before and after each part; every other block looks back a limited way."""

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

    def forward(self, states: torch.Tensor, rotary: Rotary, softcap: float | None) -> torch.Tensor:
        """Return the next token states. Shape: (inputs, tokens, hidden)."""
        attended = self.self_attn(self.input_layernorm(states), rotary, softcap)
        states = states + self.post_attention_layernorm(attended)
        fed = self.mlp(self.pre_feedforward_layernorm(states))
        next_states: torch.Tensor = states + self.post_feedforward_layernorm(fed)
        return next_states


def rotary_tables(n_positions: int, *, head_dim: int, theta: float, device: torch.device) -> Rotary:
    """Return the cosines and sines of positions 0 to ``n_positions - 1``."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim
    angles = torch.outer(torch.arange(n_positions, dtype=torch.float32, device=device), theta**-exponents)
    both_halves = torch.cat([angles, angles], dim=-1)
    return both_halves.cos(), both_halves.sin()


def _rotated(states: torch.Tensor, rotary: Rotary) -> torch.Tensor:
    """Turn queries or keys by their positions. Shape: (inputs, heads, tokens, head_dim)."""
    cos, sin = (table[: states.shape[2]] for table in rotary)
    wide = states.float()
    first, second = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat([-second, first], dim=-1) * sin).to(states.dtype)


def _visible(n_tokens: int, *, window: int | None, device: torch.device) -> torch.Tensor:
    """Return which tokens (columns) each token (row) looks at. Shape: (tokens, tokens), bool."""
    every = torch.ones(n_tokens, n_tokens, dtype=torch.bool, device=device)
    back = every.tril()
    return back if window is None else back & every.triu(1 - window)
