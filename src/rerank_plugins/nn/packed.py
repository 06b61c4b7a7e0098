"""Runs models without padding: the tokens of a batch form one packed row, with attention within each text.

BERT-like encoders run through :mod:`rerank_plugins.nn.bert_encoder`. Every other transformers model whose
attention goes through ``AttentionInterface`` (decoders, ModernBERT) runs as it is, with a registered function that
knows where texts begin, and with positions that restart per text. What cannot be packed (older transformers, attention
with soft-caps or a bias of its own) is padded instead; :mod:`rerank_plugins.nn.trials` decides. A causal model
runs a common prefix of several inputs once (:mod:`rerank_plugins.nn.prefixes`), after a trial of its own.
"""

from __future__ import annotations

import logging
from inspect import signature
from typing import Any, Protocol

import numpy as np
import torch

from rerank_plugins.nn.apart import apart_lengths
from rerank_plugins.nn.attention import attend
from rerank_plugins.nn.bert_encoder import BertEncoder, ColumnWidths, Reads
from rerank_plugins.nn.compiling import compile_regions
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.nn.prefixes import prefix_groups
from rerank_plugins.nn.row_blocks import feed_in_blocks, feed_whole
from rerank_plugins.protocols import Batch, PrefixSharing, TokenInput

__all__ = ["BERT_LIKE", "REFUSALS", "PackedModel", "SharingModel", "is_near", "packed_bert", "packed_by_interface"]

logger = logging.getLogger(__name__)

_NAME = "rerank_plugins_packed"
BERT_LIKE = ("bert", "xlm-roberta", "roberta", "camembert")
_TRIAL_TOLERANCE, _HALF_PRECISION_FACTOR = 1e-3, 50.0
_WITHOUT_EFFECT = {"deterministic", "output_attentions", "output_hidden_states", "position_ids", "return_dict"}
_WITHOUT_EFFECT |= {"cache_position", "use_cache"}
"""Keywords of attention that change no number here: positions are in queries and keys already, nothing is cached."""
REFUSALS = (AttributeError, TypeError, ValueError, RuntimeError, IndexError)
"""What models and transformers raise where something is not done."""


class PackedModel(Protocol):
    """A transformers model without head that takes batches without padding.

    Attributes:
        prefix_sharing: Whether the tokens that inputs begin with run once where only last tokens are read.
        is_thread_safe: Whether several threads may call it at once, which on a CPU is faster than one with torch's own
            threads.
    """

    prefix_sharing: PrefixSharing
    is_thread_safe: bool

    def __call__(self, batch: Batch, *, reads: Reads) -> torch.Tensor:
        """Return the final token states of all inputs, one after the other, in the model's precision.

        Returns:
            Shape: (sum of tokens, hidden), or (inputs, hidden) if only one token an input is read.
        """
        ...

    def compile(self) -> int:
        """Let the token-wise parts be compiled at their first call; return how many there are."""
        ...


class SharingModel(PackedModel, Protocol):
    """A packed model that can share prefixes: it runs a common prefix of inputs once, if a trial succeeds."""

    def try_sharing(self, trial: Batch) -> None:
        """Share prefixes from now on if this gives the same last states as without sharing.

        Args:
            trial: Its first input has at least eight tokens, not all equal.
        """
        ...


def packed_bert(model: Any, *, may_copy: bool, n_apart: int = 0, int8: ColumnWidths | None = None) -> PackedModel:
    """Return a BERT- or RoBERTa-like encoder with its own embeddings and our layers.

    Args:
        model: The transformers model.
        may_copy: Whether its weights may be laid out anew, in memory of their own.
        n_apart: Number of the lowest layers in which the two texts of a pair do not see each other.
        int8: Lets its products run in 8-bit integers, see :class:`~rerank_plugins.nn.bert_encoder.BertEncoder`.

    Raises:
        ValueError: It is not built like that.
    """
    return _PackedBert(model, may_copy=may_copy, n_apart=n_apart, int8=int8)


def packed_by_interface(model: Any) -> SharingModel:
    """Return any model whose attention function can be replaced, after that was done.

    Raises:
        ValueError: This transformers has no such interface, or not for this model.
    """
    return _PackedByInterface(model)


class _PackedBert:
    """A BERT- or RoBERTa-like encoder: its own embeddings, then our layers over its weights."""

    prefix_sharing = PrefixSharing(is_used=False, reason="attention looks both ways")

    def __init__(self, model: Any, *, may_copy: bool, n_apart: int, int8: ColumnWidths | None) -> None:
        config = model.config
        if config.model_type not in BERT_LIKE or getattr(config, "is_decoder", False):
            msg = f"{config.model_type!r} is not built like BERT"
            raise ValueError(msg)
        if getattr(config, "position_embedding_type", None) not in (None, "absolute"):
            msg = "positions are relative"
            raise ValueError(msg)
        self._embeddings, self._device = model.embeddings, model.device
        self._encoder = BertEncoder(model, may_copy=may_copy, n_apart=n_apart, int8=int8)
        self._n_apart = n_apart
        self.is_thread_safe = bool(model.device.type == "cpu")
        self._has_segments = getattr(config, "type_vocab_size", 1) > 1
        # RoBERTa counts positions from the padding id on (create_position_ids_from_input_ids).
        self._padding_id = None if config.model_type == "bert" else int(config.pad_token_id)

    def __call__(self, batch: Batch, *, reads: Reads) -> torch.Tensor:
        row = PackedRow(batch.lengths, self._device, unseen=batch.unseen)
        parts = PackedRow(apart_lengths(batch), self._device) if self._n_apart else None
        values = np.zeros((3, row.tokens + self._encoder.spare_rows(row.tokens)), dtype=np.int64)
        own = values[:, : row.tokens]
        np.concatenate([one.ids for one in batch.inputs], out=own[0])
        own[1] = self._positions(batch) if parts is None else parts.positions
        if self._has_segments:
            np.concatenate([one.type_ids for one in batch.inputs], out=own[2])
        ids, positions, types = _on_device(values, self._device).unsqueeze(1)
        embedded = self._embeddings(input_ids=ids, token_type_ids=types, position_ids=positions)[0]
        return self._encoder(embedded, row, reads=reads, parts=parts)

    def compile(self) -> int:
        """Let the token-wise parts be compiled at their first call; return how many there are."""
        n_compiled = self._encoder.compile()
        # Nobody has tried what the compiler makes from several threads.
        self.is_thread_safe = self.is_thread_safe and not n_compiled
        return n_compiled

    def _positions(self, batch: Batch) -> np.ndarray[Any, Any]:
        return np.concatenate([self._positions_of(one) for one in batch.inputs])

    def _positions_of(self, one: TokenInput) -> np.ndarray[Any, Any]:
        if self._padding_id is None:
            return np.arange(len(one))
        real = (one.ids != self._padding_id).astype(np.int64)
        positions: np.ndarray[Any, Any] = np.cumsum(real) * real + self._padding_id
        return positions


class _PackedByInterface:
    """Any model whose attention function can be replaced, and is."""

    is_thread_safe = False

    def __init__(self, model: Any) -> None:
        if not _register():
            msg = "this transformers has no attention interface"
            raise ValueError(msg)
        self._model = model
        self._has_segments = getattr(model.config, "type_vocab_size", 0) > 1
        self._options = {"use_cache": False} if "use_cache" in signature(model.forward).parameters else {}
        self.prefix_sharing = PrefixSharing(is_used=False, reason="it was not tried")
        model.set_attn_implementation(_NAME)
        feed_in_blocks(model)

    def __call__(self, batch: Batch, *, reads: Reads) -> torch.Tensor:
        shares = reads == "last" and batch.shares_prefixes and self.prefix_sharing.is_used
        row = self._shared_row(batch) if shares else PackedRow(batch.lengths, self._model.device, unseen=batch.unseen)
        states = self._states(batch, row)
        if reads == "all":
            return states
        return states[row.first_tokens if reads == "first" else row.last_tokens]

    def compile(self) -> int:
        """Let the token-wise parts be compiled at their first call; return how many there are."""
        feed_whole(self._model)
        return compile_regions(self._model)

    def try_sharing(self, trial: Batch) -> None:
        """Share prefixes from now on if this gives the same states, see :class:`SharingModel`."""
        shared = _with_common_prefixes(trial.inputs[0].ids)
        try:
            if self._has_segments:
                msg = "its inputs have segments"
                raise ValueError(msg)
            row = self._shared_row(shared, least_saved_tokens=1)
            with torch.inference_mode():
                agrees = is_near(self._states(shared, row)[row.last_tokens], self(shared, reads="last"))
            reason = "" if agrees else "a trial at load gave other numbers"
        except REFUSALS as error:
            reason = str(error) or type(error).__name__
        self.prefix_sharing = PrefixSharing(is_used=not reason, reason=reason)
        if reason:
            logger.info("%s runs every input whole: %s", type(self._model).__name__, reason)

    def _shared_row(self, batch: Batch, **options: int) -> PackedRow:
        groups = prefix_groups([one.ids for one in batch.inputs], **options)
        return PackedRow.of_groups(batch.lengths, groups, self._model.device)

    def _states(self, batch: Batch, row: PackedRow) -> torch.Tensor:
        """Return the final states of a batch that lies in a row. Shape: (tokens, hidden)."""
        values = [row.gathered([one.ids for one in batch.inputs]), row.positions]
        if self._has_segments:
            values.append(row.gathered([one.type_ids for one in batch.inputs]))
        ids, positions, *types = _on_device(np.stack(values), self._model.device).unsqueeze(1)
        segments = {"token_type_ids": types[0]} if types else {}
        found = self._model(
            input_ids=ids, position_ids=positions, packed_row=row, **segments, **self._options
        ).last_hidden_state[0]
        states: torch.Tensor = found
        return states


def is_near(found: torch.Tensor, expected: torch.Tensor, *, scale: float | None = None) -> bool:
    """Return whether states of one precision are equal except for rounding.

    Args:
        found: Any shape.
        expected: The same shape.
        scale: Size of the numbers; None takes the largest expected one.
    """
    # Half precision differs more in absolute numbers; a wrong attention differs by whole units.
    factor = 1.0 if expected.dtype == torch.float32 else _HALF_PRECISION_FACTOR
    tolerance = _TRIAL_TOLERANCE * factor * (float(expected.float().abs().max()) if scale is None else scale)
    return torch.allclose(found.float(), expected.float(), atol=tolerance)


def _with_common_prefixes(ids: np.ndarray[Any, Any]) -> Batch:
    """Return inputs with two common prefixes, one longer and one shorter than the rest, and an input with neither."""
    back = ids[::-1]
    inputs = [
        *(np.concatenate([ids[:6], rest]) for rest in (back[:4], back[:3], back[1:4], back[2:3])),
        *(np.concatenate([back[:2], rest]) for rest in (ids[:6], ids[1:7], ids[3:4])),
        ids[4:7],
    ]
    return Batch([TokenInput(one, np.zeros_like(one)) for one in inputs])


def _on_device(rows: np.ndarray[Any, Any], device: torch.device) -> torch.Tensor:
    """Return rows of integers on the device, by one copy that does not wait on CUDA. Same shape, int64."""
    tensor = torch.from_numpy(rows.astype(np.int64))
    if device.type == "cuda":
        # The caching host allocator hands the same pinned blocks out again when their copies are done.
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def _register() -> bool:
    """Register the attention function with transformers; return False where there is no such interface."""
    try:
        from transformers import AttentionInterface
    except ImportError:
        return False
    AttentionInterface.register(_NAME, _attention)
    return True


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _attention_mask: torch.Tensor | None,
    *,
    packed_row: PackedRow,
    scaling: float | None = None,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    dropout: float = 0.0,
    **others: Any,  # the interface passes what other implementations need
) -> tuple[torch.Tensor, None]:
    """Attend within each text.

    Query, key and value have the shape (1, heads, tokens, head_dim), the result (1, tokens, heads, head_dim).

    Raises:
        ValueError: The model wants something that is not done here, or that this function has never heard of.
    """
    unknown = [name for name, value in others.items() if value is not None and name not in _WITHOUT_EFFECT]
    if dropout:
        unknown.append("dropout")
    if unknown:
        msg = f"attention with {', '.join(unknown)} is not packed"
        raise ValueError(msg)
    query, key, value = (one[0].transpose(0, 1) for one in (query, key, value))
    causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    attended = attend(query, key, value, packed_row, scale=scaling, is_causal=causal, window=sliding_window)
    return attended.unsqueeze(0), None
