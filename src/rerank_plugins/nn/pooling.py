"""Pooling: token states to the vector of a text, and what is applied to it then, all in float32.

References: sentence-transformers 6.2 ``sentence_transformer/modules/pooling.py``; FlagEmbedding
``BaseEmbedder.pooling``; INSTRUCTOR's mean over the text without its instruction
(``InstructorEmbedding/instructor.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from rerank_plugins.nn.backbone import TokenStates
from rerank_plugins.nn.bert_encoder import Reads
from rerank_plugins.protocols import Batch
from rerank_plugins.types import Pooling

__all__ = ["SentenceHead"]

_READS: dict[Pooling, Reads] = {"cls": "first", "last_token": "last"}


class SentenceHead:
    """Pooling and the modules after it.

    Args:
        poolings: How token states become one vector; those of several ways are joined in this order.
        layers: What is applied to it, in order.
    """

    def __init__(
        self, poolings: Sequence[Pooling], layers: Sequence[Callable[[torch.Tensor], torch.Tensor]] = ()
    ) -> None:
        self._poolings, self._layers = tuple(poolings), tuple(layers)

    @property
    def reads_last(self) -> bool:
        """Whether only the last token of each text is read."""
        return self._poolings == ("last_token",)

    def reads(self, batch: Batch) -> Reads:
        """Return which token states are read: one of each text, or all."""
        if len(self._poolings) > 1 or (self._poolings[0] == "cls" and any(_starts(batch))):
            return "all"
        return _READS.get(self._poolings[0], "all")

    def __call__(self, states: TokenStates, batch: Batch) -> torch.Tensor:
        """Return one vector per text. Shape: (inputs, dim), float32."""
        starts = _starts(batch)
        if len(self._poolings) == 1 and not any(starts) and self._poolings[0] in ("cls", "last_token", "mean"):
            vectors = _pooled_whole(states, self._poolings[0])
        else:
            pooled = _Pooled.of(states, starts)
            vectors = torch.cat([pooled.by(pooling) for pooling in self._poolings], dim=1)
        return self.apply_modules(vectors)

    def apply_modules(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return pooled vectors with the modules behind the pooling applied. Shape: (n, dim), float32."""
        for layer in self._layers:
            vectors = layer(vectors)
        return vectors


def _starts(batch: Batch) -> list[int]:
    """Return for each input how many of its first tokens are left out: those of an instruction."""
    return [0 if one.segments is None else one.segments.document_start for one in batch.inputs]


def _pooled_whole(states: TokenStates, pooling: Pooling) -> torch.Tensor:
    if pooling == "cls":
        return states.first()
    return states.last() if pooling == "last_token" else states.mean()


@dataclass(frozen=True, slots=True, eq=False)
class _Pooled:
    """Token states to be pooled in any way, each input from its first token that counts.

    Attributes:
        states: All tokens.
        starts: The first token of each input that counts. Shape: (inputs,), int64.
        positions: The place of each token in its input, from 0. Shape: (tokens,), int64.
        counts: Whether it counts. Shape: (tokens,), bool.
    """

    states: TokenStates
    starts: torch.Tensor
    positions: torch.Tensor
    counts: torch.Tensor

    @classmethod
    def of(cls, states: TokenStates, starts: Sequence[int]) -> _Pooled:
        row, device = states.row, states.flat.device
        first, texts = torch.tensor(list(starts), device=device), row.text_of_token
        positions = torch.arange(row.tokens, device=device) - row.first_tokens[texts]
        return cls(states, first, positions, positions >= first[texts])

    def by(self, pooling: Pooling) -> torch.Tensor:
        """Return one vector per input; zeros for an input without a token that counts. Shape: (inputs, hidden)."""
        if pooling == "last_token":
            return self.states.last()
        if pooling == "cls":
            row = self.states.row
            return self.states.flat[row.first_tokens + torch.where(self.starts < row.seqlens, self.starts, 0)]
        if pooling == "max":
            return self._highest()
        # A token's weight is its place in the whole input, the instruction included.
        weights = (
            (self.positions + 1).float() if pooling == "weighted_mean" else torch.ones_like(self.positions).float()
        )
        sums, totals = self._sums(weights)
        return sums / (totals.sqrt() if pooling == "mean_sqrt_len" else totals)

    def _sums(self, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        weights = (weights * self.counts).unsqueeze(1)
        flat, texts, n_texts = self.states.flat, self.states.row.text_of_token, len(self.starts)
        sums = flat.new_zeros(n_texts, flat.shape[1]).index_add_(0, texts, flat * weights)
        return sums, flat.new_zeros(n_texts, 1).index_add_(0, texts, weights).clamp(min=1e-9)

    def _highest(self) -> torch.Tensor:
        flat = self.states.flat
        texts = self.states.row.text_of_token[self.counts].unsqueeze(1).expand(-1, flat.shape[1])
        lowest = flat.new_full((len(self.starts), flat.shape[1]), float("-inf"))
        highest = lowest.scatter_reduce(0, texts, flat[self.counts], reduce="amax")
        return torch.where(highest.isneginf(), 0.0, highest)
