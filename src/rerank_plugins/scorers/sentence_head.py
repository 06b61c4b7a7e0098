"""Heads of embedders: pooling of token states, then the modules after it, all in float32.

References: sentence-transformers 6.2 ``sentence_transformer/modules/pooling.py``, ``layer_norm.py`` and
``base/modules/dense.py``, ``normalize.py``; FlagEmbedding ``BaseEmbedder.pooling``; INSTRUCTOR's mean over the text
without its instruction (``InstructorEmbedding/instructor.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from rerank_plugins.catalog.sentence_modules import CutStep, DenseStep, LayerNormStep, Step
from rerank_plugins.catalog.spec import Pooling
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.protocols import Batch
from rerank_plugins.scorers.backbone import TokenStates
from rerank_plugins.scorers.bert_encoder import Reads
from rerank_plugins.weights.base import LoadRequest
from rerank_plugins.weights.side_files import read_side_file

__all__ = ["SentenceHead", "load_head"]

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
        for layer in self._layers:
            vectors = layer(vectors)
        return vectors


def load_head(request: LoadRequest) -> SentenceHead:
    """Return the head of an embedder's checkpoint, on the device.

    Raises:
        UnsafeModelError: A module's weights are a pickle, and that was not allowed.
        UnsupportedModelError: They are missing or have other shapes than the config says.
    """
    pooling = request.spec.pooling
    layers = [_layer(step, request) for step in request.files.modules.steps]
    return SentenceHead((pooling,) if isinstance(pooling, str) else pooling, layers)


def _starts(batch: Batch) -> list[int]:
    """Return for each input how many of its first tokens are left out: those of an instruction."""
    return [0 if one.segments is None else one.segments.document_start for one in batch.inputs]


def _pooled_whole(states: TokenStates, pooling: Pooling) -> torch.Tensor:
    if pooling == "cls":
        return states.first()
    return states.last() if pooling == "last_token" else states.mean()


@dataclass(frozen=True, slots=True, eq=False)
class _Pooled:
    """Token states with their places, to be pooled in any way.

    Attributes:
        states: All tokens.
        lengths: Tokens of each input.
        starts: Its first token that counts.
        rows: Input of each token.
        positions: Its place there, from 0.
        counts: Whether it counts.
    """

    states: TokenStates
    lengths: torch.Tensor
    starts: torch.Tensor
    rows: torch.Tensor
    positions: torch.Tensor
    counts: torch.Tensor

    @classmethod
    def of(cls, states: TokenStates, starts: Sequence[int]) -> _Pooled:
        device = states.flat.device
        lengths, first = (torch.tensor(numbers, device=device) for numbers in (states.lengths, list(starts)))
        rows = torch.repeat_interleave(torch.arange(len(lengths), device=device), lengths)
        positions = torch.arange(len(rows), device=device) - (lengths.cumsum(0) - lengths)[rows]
        return cls(states, lengths, first, rows, positions, positions >= first[rows])

    def by(self, pooling: Pooling) -> torch.Tensor:
        """Return one vector per input; zeros for an input without a token that counts. Shape: (inputs, hidden)."""
        if pooling == "last_token":
            return self.states.last()
        if pooling == "cls":
            begin = self.lengths.cumsum(0) - self.lengths
            return self.states.flat[begin + torch.where(self.starts < self.lengths, self.starts, 0)]
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
        flat = self.states.flat
        sums = flat.new_zeros(len(self.lengths), flat.shape[1]).index_add_(0, self.rows, flat * weights)
        return sums, flat.new_zeros(len(self.lengths), 1).index_add_(0, self.rows, weights).clamp(min=1e-9)

    def _highest(self) -> torch.Tensor:
        flat = self.states.flat
        rows = self.rows[self.counts].unsqueeze(1).expand(-1, flat.shape[1])
        lowest = flat.new_full((len(self.lengths), flat.shape[1]), float("-inf"))
        highest = lowest.scatter_reduce(0, rows, flat[self.counts], reduce="amax")
        return torch.where(highest.isneginf(), 0.0, highest)


def _layer(step: Step, request: LoadRequest) -> Callable[[torch.Tensor], torch.Tensor]:
    if isinstance(step, CutStep):
        return lambda vectors: vectors[:, : step.width]
    if isinstance(step, (DenseStep, LayerNormStep)):
        # On the meta device at first: the sizes come from a file and have not been checked against the weights yet.
        with torch.device("meta"):
            module = _Dense(step) if isinstance(step, DenseStep) else _LayerNorm(step)
        return _with_weights(module, step, request)
    return lambda vectors: torch.nn.functional.normalize(vectors, dim=1)


class _LayerNorm(torch.nn.Module):
    """sentence-transformers' LayerNorm, with its names of weights."""

    def __init__(self, step: LayerNormStep) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(step.width)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.norm(vectors)  # type: ignore[no-any-return]


class _Dense(torch.nn.Module):
    """sentence-transformers' Dense, with its names of weights."""

    def __init__(self, step: DenseStep) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(step.n_in, step.n_out, bias=step.has_bias)
        self.activation = getattr(torch.nn, step.activation)()
        self.is_residual = step.is_residual
        if step.is_residual and step.n_in != step.n_out:
            self.residual: torch.nn.Module = torch.nn.Linear(step.n_in, step.n_out, bias=False)
        else:
            self.residual = torch.nn.Identity()

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.activation(self.linear(vectors))
        return made + self.residual(vectors) if self.is_residual else made


def _with_weights(module: torch.nn.Module, step: DenseStep | LayerNormStep, request: LoadRequest) -> torch.nn.Module:
    safe, pickled = step.folder / "model.safetensors", step.folder / "pytorch_model.bin"
    weights = read_side_file(safe, pickled, allow_pickle=request.allow_pickle)
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if found != expected:
        msg = (
            f"the weights in {str(step.folder)!r} are {found}, and the module's config needs {expected}; download the "
            "checkpoint again"
        )
        raise UnsupportedModelError(msg)
    module.load_state_dict(weights, assign=True)
    return module.eval().to(request.device)
