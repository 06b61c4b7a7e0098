"""Encoders run without padding: the tokens of a batch in one row, attention within each text.

No model is re-written: transformers' ``AttentionInterface`` lets a registered function see the row, and
the backbone's own ``embeddings`` and ``encoder`` are called with positions that restart per text. The
function runs torch's scaled dot-product attention over each run of texts of equal length; batches are
sorted by length, so runs are long.

What cannot be packed (older transformers, an architecture that does not go through that interface) is
padded instead; a trial at load decides.
"""

from __future__ import annotations

import logging
from itertools import groupby
from typing import Any

import numpy as np
import torch

from rerank_plugins.protocols import Batch

__all__ = ["PackedEncoder", "packed_encoder"]

logger = logging.getLogger(__name__)

_NAME = "rerank_plugins_packed"
_MODEL_TYPES = ("bert", "xlm-roberta", "roberta", "camembert")
_TRIAL_TOLERANCE = 1e-3


class PackedEncoder:
    """A transformers encoder that takes batches without padding.

    Args:
        backbone: A BERT- or RoBERTa-like model without head, whose attention goes through the interface.
    """

    def __init__(self, backbone: Any) -> None:
        self._backbone = backbone
        config = backbone.config
        # RoBERTa counts positions from the padding id on (create_position_ids_from_input_ids).
        self._padding_id = None if config.model_type == "bert" else int(config.pad_token_id)

    def __call__(self, batch: Batch) -> torch.Tensor:
        """Return the final token states of all inputs, one after the other. Shape: (sum of tokens, hidden)."""
        device = self._backbone.device
        ids = torch.from_numpy(np.concatenate([one.ids for one in batch.inputs])).long()
        types = torch.from_numpy(np.concatenate([one.type_ids for one in batch.inputs])).long()
        positions = torch.from_numpy(np.concatenate([self._positions(one.ids) for one in batch.inputs])).long()
        if getattr(self._backbone.config, "type_vocab_size", 1) < 2:
            types = torch.zeros_like(types)
        embedded = self._backbone.embeddings(
            input_ids=ids.unsqueeze(0).to(device),
            token_type_ids=types.unsqueeze(0).to(device),
            position_ids=positions.unsqueeze(0).to(device),
        )
        runs = tuple((length, sum(1 for _ in group)) for length, group in groupby(batch.lengths))
        encoded = self._backbone.encoder(embedded, attention_mask=None, rerank_runs=runs)
        states: torch.Tensor = encoded.last_hidden_state[0]
        return states

    def _positions(self, ids: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if self._padding_id is None:
            return np.arange(len(ids))
        real = (ids != self._padding_id).astype(np.int64)
        positions: np.ndarray[Any, Any] = np.cumsum(real) * real + self._padding_id
        return positions


def packed_encoder(backbone: Any, *, trial: Batch) -> PackedEncoder | None:
    """Return an encoder without padding, or None if this backbone cannot run so.

    The backbone must be ours alone: its attention function is replaced.

    Args:
        backbone: A transformers encoder in eval mode, on its device.
        trial: A batch of at least two lengths; packed and one by one must agree on it.
    """
    if backbone.config.model_type not in _MODEL_TYPES or not _registered():
        return None
    encoder = PackedEncoder(backbone)
    before = backbone.config._attn_implementation
    try:
        with torch.inference_mode():
            expected = torch.cat([_alone(backbone, one, batch=trial) for one in range(len(trial))])
            backbone.set_attn_implementation(_NAME)
            found = encoder(trial)
        agrees = torch.allclose(found.float(), expected.float(), atol=_TRIAL_TOLERANCE * _magnitude(expected))
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        logger.info("%s cannot run packed (%s); batches are padded", type(backbone).__name__, type(error).__name__)
        agrees = False
    if not agrees:
        backbone.config._attn_implementation = before
        return None
    return encoder


def _magnitude(states: torch.Tensor) -> float:
    # Half precision differs more in absolute numbers; a wrong attention differs by whole units.
    return float(states.float().abs().max()) * (1.0 if states.dtype == torch.float32 else 50.0)


def _alone(backbone: Any, index: int, *, batch: Batch) -> torch.Tensor:
    one = batch.inputs[index]
    tensors = {"input_ids": torch.from_numpy(one.ids).long().unsqueeze(0).to(backbone.device)}
    if getattr(backbone.config, "type_vocab_size", 1) > 1:
        tensors["token_type_ids"] = torch.from_numpy(one.type_ids).long().unsqueeze(0).to(backbone.device)
    states: torch.Tensor = backbone(**tensors).last_hidden_state[0]
    return states


def _registered() -> bool:
    """Register the attention function with transformers; return False where there is no such interface."""
    try:
        from transformers import AttentionInterface
    except ImportError:
        return False
    AttentionInterface.register(_NAME, _attention)
    return True


def _attention(
    _module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _attention_mask: torch.Tensor | None,
    *,
    rerank_runs: tuple[tuple[int, int], ...],
    scaling: float | None = None,
    **_: Any,  # the interface passes what other implementations need
) -> tuple[torch.Tensor, None]:
    """Attend within each text; ``rerank_runs`` holds (tokens, texts) of each run of texts of equal length.

    Query, key and value have the shape (1, heads, tokens, head_dim), the result (1, tokens, heads, head_dim).
    """
    heads, tokens, width = query.shape[1:]
    attended = query.new_empty(tokens, heads, width)
    start = 0
    for length, n_texts in rerank_runs:
        end = start + length * n_texts
        shape = (heads, n_texts, length, width)
        queries, keys, values = (part[0, :, start:end].reshape(shape).transpose(0, 1) for part in (query, key, value))
        run = torch.nn.functional.scaled_dot_product_attention(queries, keys, values, scale=scaling)
        attended[start:end] = run.transpose(1, 2).reshape(end - start, heads, width)
        start = end
    return attended.unsqueeze(0), None
