"""BERT as a torch module without transformers, for checkpoints of this project's own format.

Parameters have the names of transformers' ``BertModel`` without pooler (5.23, ``models/bert/modeling_bert.py``), and
the numbers are the same. It is what packed rows are tried against at load; importing transformers for that would take
longer than everything else between the start of a process and its first score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ACTIVATION", "BertConfig", "BertModule", "BertOutput"]

ACTIVATION = "gelu"
"""The activation that this module has: the exact GELU, by its name in a configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BertConfig:
    """The settings that numbers depend on, by their names in ``config.json``.

    Attributes:
        hidden_size: Width of a token state.
        intermediate_size: Width between the two products of a layer's second half.
        layer_norm_eps: What is added to variances.
        max_position_embeddings: Most tokens of a text.
        num_attention_heads: Attention heads of a layer.
        num_hidden_layers: Layers.
        pad_token_id: Id of the padding token.
        type_vocab_size: Types of tokens.
        vocab_size: Ids.
        model_type: As transformers calls the architecture.
    """

    hidden_size: int
    intermediate_size: int
    layer_norm_eps: float
    max_position_embeddings: int
    num_attention_heads: int
    num_hidden_layers: int
    pad_token_id: int
    type_vocab_size: int
    vocab_size: int
    model_type: str = "bert"

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> BertConfig:
        """Return the settings of a ``config.json``, of which other keys are left out."""
        names = cls.__dataclass_fields__.keys() - {"model_type"}
        return cls(**{name: settings[name] for name in names})


@dataclass(frozen=True, slots=True, eq=False)
class BertOutput:
    """What the module returns.

    Attributes:
        last_hidden_state: Final token states. Shape: (inputs, tokens, hidden).
    """

    last_hidden_state: Tensor


class BertModule(nn.Module):
    """An encoder without head, in eval mode only: it has no dropout.

    Its parameters have no values until a state dict is loaded with ``assign=True``.

    Args:
        config: Its settings.

    Raises:
        ValueError: The heads do not share the hidden size.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        if config.hidden_size % config.num_attention_heads:
            msg = f"hidden_size={config.hidden_size} is no multiple of num_attention_heads={config.num_attention_heads}"
            raise ValueError(msg)
        self.config = config
        with torch.device("meta"):
            self.embeddings = _Embeddings(config)
            self.encoder = nn.Module()
            self.encoder.layer = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embeddings.LayerNorm.weight.device

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> BertOutput:
        """Return the final states of padded texts.

        Args:
            input_ids: Shape: (inputs, tokens), as of both others.
            attention_mask: 1 for what is seen, 0 for padding; None sees all.
            token_type_ids: Type of each token; None is type 0.
        """
        types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        positions = torch.arange(input_ids.shape[1], device=input_ids.device).unsqueeze(0)
        states = self.embeddings(input_ids=input_ids, token_type_ids=types, position_ids=positions)
        seen = None if attention_mask is None else attention_mask.bool()[:, None, None, :]
        for layer in self.encoder.layer:  # type: ignore[union-attr]
            states = layer(states, seen)
        return BertOutput(states)


class _Linear(nn.Linear):
    def reset_parameters(self) -> None:
        """Make no random numbers: for a tensor without memory torch would import its compiler to do so."""


class _Embedding(nn.Embedding):
    def reset_parameters(self) -> None:
        """Make no random numbers; see :class:`_Linear`."""


class _LayerNorm(nn.LayerNorm):
    def reset_parameters(self) -> None:
        """Make no random numbers; see :class:`_Linear`."""


class _Embeddings(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.word_embeddings = _Embedding(config.vocab_size, config.hidden_size)
        self.position_embeddings = _Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = _Embedding(config.type_vocab_size, config.hidden_size)
        self.LayerNorm = _LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, *, input_ids: Tensor, token_type_ids: Tensor, position_ids: Tensor) -> Tensor:
        # The sums in transformers' order, so that they round alike.
        embedded = self.word_embeddings(input_ids) + self.token_type_embeddings(token_type_ids)
        normed: Tensor = self.LayerNorm(embedded + self.position_embeddings(position_ids))
        return normed


class _Layer(nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        hidden, wide = config.hidden_size, config.intermediate_size
        attention, of_heads = nn.Module(), nn.Module()
        of_heads.query, of_heads.key, of_heads.value = (_Linear(hidden, hidden) for _ in range(3))
        attention.self, attention.output = of_heads, _Output(hidden, hidden, eps=config.layer_norm_eps)
        self.attention = attention
        self.intermediate = _Widening(hidden, wide)
        self.output = _Output(wide, hidden, eps=config.layer_norm_eps)
        self._heads = config.num_attention_heads

    def forward(self, states: Tensor, seen: Tensor | None) -> Tensor:
        attention: Any = self.attention
        query, key, value = (
            one(states).unflatten(-1, (self._heads, -1)).transpose(1, 2)
            for one in (attention.self.query, attention.self.key, attention.self.value)
        )
        attended = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        after = attention.output(attended.transpose(1, 2).flatten(2), states)
        finished: Tensor = self.output(self.intermediate(after), after)
        return finished


class _Widening(nn.Module):
    def __init__(self, hidden: int, wide: int) -> None:
        super().__init__()
        self.dense = _Linear(hidden, wide)
        self.intermediate_act_fn = nn.functional.gelu

    def forward(self, states: Tensor) -> Tensor:
        return self.intermediate_act_fn(self.dense(states))


class _Output(nn.Module):
    def __init__(self, width: int, hidden: int, *, eps: float) -> None:
        super().__init__()
        self.dense = _Linear(width, hidden)
        self.LayerNorm = _LayerNorm(hidden, eps=eps)

    def forward(self, states: Tensor, residual: Tensor) -> Tensor:
        normed: Tensor = self.LayerNorm(self.dense(states) + residual)
        return normed
