"""BERT-like encoders on packed rows: the layers of transformers with merged and fused matrix products.

The weights are those of a transformers model, whose embeddings run as they are. Against ``BertLayer`` (transformers
5.23, ``models/bert/modeling_bert.py``; RoBERTa's is the same) three things differ and no number but by rounding:
query, key and value are one product, GELU and residual sums run inside the products where that is possible, and the
last layer is computed only for the tokens that are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch

from rerank_plugins.nn.attention import attend, attend_first
from rerank_plugins.nn.compiling import compiled
from rerank_plugins.nn.dense import Dense, PackedDense, PlainDense, dense, spare_rows
from rerank_plugins.nn.int8 import BLOCK_ROWS, SPARE_KEYS, Int8Dense
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.nn.row_blocks import in_blocks

__all__ = ["BertEncoder", "ColumnWidths", "Reads"]

Reads = Literal["all", "first", "last"]
"""Which tokens' final states somebody reads: all, or only the first or the last one of each text."""

ColumnWidths = Mapping[Any, torch.Tensor]
"""Linear module to the largest size of each of its input columns. Shape of each: (in,)."""


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: torch.Tensor
    bias: torch.Tensor
    epsilon: float

    @classmethod
    def of(cls, module: Any) -> _Norm:
        return cls(module.weight.detach(), module.bias.detach(), float(module.eps))

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.layer_norm(rows, self.weight.shape, self.weight, self.bias, self.epsilon)


class _Layer:
    """One transformer layer.

    Args:
        module: A ``BertLayer`` or ``RobertaLayer``.
        heads: Number of attention heads.
        may_copy: Whether weights may be copied into another layout.
        splits: Whether queries are made apart from keys and values: in the last layer fewer of them may be needed.
        int8: For products in 8-bit integers: as for :class:`BertEncoder`.
    """

    def __init__(self, module: Any, *, heads: int, may_copy: bool, splits: bool, int8: ColumnWidths | None) -> None:
        attention = module.attention.self
        self._heads = heads
        self._query: Dense | None = None
        make = partial(_dense, may_copy=may_copy, int8=int8)
        joined = [attention.query, attention.key, attention.value]
        if splits or not may_copy:
            self._query = make([joined.pop(0)])
        self._joined = [make(joined)] if may_copy else [make([one]) for one in joined]
        self._after_attention = make([module.attention.output.dense])
        self._attention_norm = _Norm.of(module.attention.output.LayerNorm)
        self._widen = make([module.intermediate.dense])
        self._activation = _activation(module.intermediate.intermediate_act_fn)
        self._narrow = make([module.output.dense], follows_gelu=self._activation is None)
        self._norm = _Norm.of(module.output.LayerNorm)
        self._finish = self._fed_forward if int8 is None else in_blocks(self._fed_forward, n_rows=BLOCK_ROWS)

    def __call__(self, states: torch.Tensor, row: PackedRow, *, reads: Reads) -> torch.Tensor:
        """Return the states after this layer. Shape: (tokens, hidden), or (texts, hidden) if first ones are read.

        There may be extra rows after the tokens, and then after the result too.
        """
        if reads == "first" and self._query is not None:
            residual = states[torch.nn.functional.pad(row.first_tokens, (0, self.spare_rows(len(row.lengths))))]
            key, value = self._projected(states, n_parts=2)
            attended = attend_first(self._by_head(self._query(residual)), key, value, row)
        else:
            residual = states
            query, key, value = self._query_key_value(states)
            attended = attend(query, key, value, row)
        return self._finish(attended.flatten(1), residual)

    def _fed_forward(self, attended: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        after = self._attention_norm(self._after_attention.add(attended, residual))
        wide = self._widen.gelu(after) if self._activation is None else self._activation(self._widen(after))
        return self._norm(self._narrow.add(wide, after))

    def compile(self) -> bool:
        """Have the part after attention compiled; return False where oneDNN has fused it already."""
        if not isinstance(self._widen, PlainDense):
            return False
        self._finish = compiled(self._fed_forward)
        return True

    def spare_rows(self, n_rows: int) -> int:
        """Return how many rows to add to ``n_rows``."""
        if isinstance(self._widen, Int8Dense):
            return SPARE_KEYS + spare_rows(n_rows + SPARE_KEYS)
        return spare_rows(n_rows) if isinstance(self._widen, PackedDense) else 0

    def _query_key_value(self, states: torch.Tensor) -> list[torch.Tensor]:
        if self._query is None:
            return self._projected(states, n_parts=3)
        return [self._by_head(self._query(states)), *self._projected(states, n_parts=2)]

    def _projected(self, states: torch.Tensor, *, n_parts: int) -> list[torch.Tensor]:
        if len(self._joined) == 1:
            joined = self._joined[0](states)
            return [self._by_head(part) for part in joined.chunk(n_parts, dim=-1)]
        return [self._by_head(one(states)) for one in self._joined]

    def _by_head(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.view(len(rows), self._heads, -1)


class BertEncoder:
    """The layers of a BERT-like encoder.

    Args:
        model: A transformers encoder with absolute positions, in eval mode.
        may_copy: Whether weights may be copied into other layouts; without it they are shared with ``model``.
        n_apart: Number of the lowest layers in which the parts of an input do not see each other.
        int8: Lets products run in 8-bit integers (:mod:`rerank_plugins.nn.int8`): the largest size of each input column
            of every linear module on real texts; needs ``may_copy``. None leaves them in the model's precision.

    Raises:
        AttributeError: The model is built otherwise.
    """

    def __init__(self, model: Any, *, may_copy: bool, n_apart: int = 0, int8: ColumnWidths | None = None) -> None:
        self._n_apart = n_apart
        config = model.config
        layers = list(model.encoder.layer)
        self._layers = [
            _Layer(layer, heads=config.num_attention_heads, may_copy=may_copy, splits=layer is layers[-1], int8=int8)
            for layer in layers
        ]

    def __call__(
        self, embedded: torch.Tensor, row: PackedRow, *, reads: Reads, parts: PackedRow | None = None
    ) -> torch.Tensor:
        """Return the final states.

        Args:
            embedded: Token embeddings, behind them those of :meth:`spare_rows` tokens that belong to no text. Shape:
                (tokens + spare, hidden).
            row: Where the texts lie.
            reads: Which tokens' states are needed.
            parts: Where the parts of the texts lie, for the layers in which they are apart; None where none are.

        Returns:
            Shape: (tokens, hidden), or (texts, hidden) if only one token a text is read.
        """
        states = embedded
        for number, layer in enumerate(self._layers[:-1]):
            states = layer(states, parts if parts is not None and number < self._n_apart else row, reads="all")
        states = self._layers[-1](states, row, reads=reads)
        if reads == "last":
            return states[row.last_tokens]
        return states[: row.tokens if reads == "all" else len(row.lengths)]

    def compile(self) -> int:
        """Let the layers' token-wise parts be compiled at their first call; return how many there are."""
        return sum(layer.compile() for layer in self._layers)

    def spare_rows(self, n_tokens: int) -> int:
        """Return how many tokens to add to a batch; see :func:`rerank_plugins.nn.dense.spare_rows`."""
        return self._layers[0].spare_rows(n_tokens)


def _dense(modules: list[Any], *, may_copy: bool, int8: ColumnWidths | None, follows_gelu: bool = False) -> Dense:
    weights, biases = [one.weight.detach() for one in modules], [one.bias.detach() for one in modules]
    # torch.cat of one tensor would copy it.
    weight, bias = (one[0] if len(one) == 1 else torch.cat(one) for one in (weights, biases))
    if int8 is None:
        return dense(weight, bias, may_copy=may_copy)
    # Query, key and value have the same inputs.
    return Int8Dense(weight, bias, widths=int8[modules[0]], follows_gelu=follows_gelu)


def _activation(module: Any) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Return the activation after the wide layer, or None for the exact GELU, which is fused into the product."""
    rows = torch.linspace(-6.0, 6.0, 97)
    is_exact_gelu = torch.equal(module(rows), torch.nn.functional.gelu(rows))
    return None if is_exact_gelu else module
