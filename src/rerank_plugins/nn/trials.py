"""Trials at load: whether a model gives the same states in packed rows as one text at a time.

Library versions differ, so this is tried and not assumed. One trial runs the model as it is. Another makes its sliding
windows so narrow (:mod:`rerank_plugins.nn.windows`) that a short text shows whether they are respected.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import torch

from rerank_plugins.nn.bert_encoder import Reads
from rerank_plugins.nn.int8 import has_int8_products
from rerank_plugins.nn.int8_bound import why_too_far
from rerank_plugins.nn.packed import BERT_LIKE, REFUSALS, PackedModel, is_near, packed_bert, packed_by_interface
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.nn.windows import (
    NARROW,
    WIDE,
    WINDOW_TRIAL_LENGTHS,
    has_local_layers,
    window_names,
    windows_of,
)
from rerank_plugins.protocols import Batch, TokenInput

__all__ = ["TRIAL_LENGTHS", "CannotPackError", "int8_model", "packed_model", "trial_of"]

logger = logging.getLogger(__name__)

TRIAL_LENGTHS = (9, 5, 5, 3)
"""Tokens of the texts of a trial."""


class CannotPackError(Exception):
    """The model cannot run packed; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """Inputs, and the states of the model as transformers runs it, one input after the other.

    Attributes:
        batch: The inputs.
        expected: Shape: (tokens, hidden).
        is_narrow: Whether windows are narrowed.
    """

    batch: Batch
    expected: torch.Tensor
    is_narrow: bool = False

    def conditions(self, model: Any) -> AbstractContextManager[None]:
        """Return the context in which the model is tried."""
        return windows_of(model, NARROW) if self.is_narrow else nullcontext()


def packed_model(model: Any, *, is_ours: bool, n_apart: int = 0) -> PackedModel:
    """Return the model without padding.

    Args:
        model: A transformers model without head, in eval mode, on its device.
        is_ours: Whether nobody else uses the model. If so its weights may be laid out anew, and its attention function
            replaced; if not it is left as it is.
        n_apart: Number of the lowest layers in which the two texts of a pair do not see each other; only for BERT.

    Raises:
        CannotPackError: It cannot run so, or gives other numbers.
    """
    before = getattr(model.config, "_attn_implementation", None)
    try:
        if model.config.model_type in BERT_LIKE:
            trials = _trials(model, has_windows=False)
            try:
                return _agreeing_bert(model, trials, may_copy=is_ours, n_apart=n_apart)
            except (CannotPackError, *REFUSALS):
                if not is_ours or n_apart:
                    raise
        elif not is_ours:
            msg = "its attention function would have to be replaced, and the model is not ours alone"
            raise CannotPackError(msg)
        return _agreeing_interface(model, _trials(model, has_windows=True))
    except (CannotPackError, *REFUSALS) as error:
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        if before is not None and model.config._attn_implementation != before:
            model.set_attn_implementation(before)
        logger.info("%s cannot run packed (%s); batches are padded", type(model).__name__, reason)
        raise CannotPackError(reason) from error


def int8_model(model: Any, texts: Batch, *, n_apart: int = 0) -> PackedModel:
    """Return a BERT-like model with its products in 8-bit integers; its float32 weights of them are dropped.

    Args:
        model: As for :func:`packed_model`, in float32 on a CPU, and nobody else uses it.
        texts: Real texts, on which states must stay near those of ``model`` itself, in float32.
        n_apart: As for :func:`packed_model`.

    Raises:
        CannotPackError: This CPU or torch has no such products, or states differ by more than 15 % of their spread;
            the model is as it was.
    """
    if not has_int8_products():
        msg = "this processor has no instructions for products of 8-bit integers (AVX-512 VNNI or AMX)"
        raise CannotPackError(msg)
    try:
        widths, expected = _column_widths(model, texts)
        candidate = packed_bert(model, may_copy=True, n_apart=n_apart, int8=widths)
        with torch.inference_mode():
            found = candidate(texts, reads="all")
    except REFUSALS as error:
        raise CannotPackError(str(error).split("\n", 1)[0] or type(error).__name__) from error
    too_far = why_too_far(found.float().numpy(), expected.float().numpy())
    if too_far:
        raise CannotPackError(too_far)
    model.encoder.layer = torch.nn.ModuleList()
    return candidate


def _column_widths(model: Any, texts: Batch) -> tuple[dict[Any, torch.Tensor], torch.Tensor]:
    """Return the largest size of each input column of every linear module of an encoder on some texts, and its states.

    The states are the model's own: code of a checkpoint may call itself "bert" and compute something else.
    """
    widths: dict[Any, torch.Tensor] = {}

    def see(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        found = inputs[0].detach().abs().flatten(0, -2).amax(0)
        widths[module] = torch.maximum(widths[module], found) if module in widths else found

    linear = [one for one in model.encoder.modules() if isinstance(one, torch.nn.Linear)]
    hooks = [one.register_forward_pre_hook(see) for one in linear]
    try:
        states = _one_by_one(model, texts)
    finally:
        for hook in hooks:
            hook.remove()
    return widths, states


def trial_of(model: Any, lengths: Sequence[int]) -> Batch:
    """Return a batch of these lengths, made of the last ids of the vocabulary."""
    last = int(model.config.vocab_size) - 1
    inputs = []
    for length in lengths:
        ids = (last - length + np.arange(length)).astype(np.int32) if length < last else np.full(length, last, np.int32)
        inputs.append(TokenInput(ids, np.zeros_like(ids)))
    return Batch(inputs)


def _trials(model: Any, *, has_windows: bool) -> list[_Trial]:
    """Return what a packed model must agree with.

    Raises:
        CannotPackError: It has windows that cannot be tried.
    """
    plain = trial_of(model, TRIAL_LENGTHS)
    trials = [_Trial(batch=plain, expected=_one_by_one(model, plain))]
    names = window_names(model.config) if has_windows else []
    if not names:
        return trials
    batch = trial_of(model, WINDOW_TRIAL_LENGTHS)
    with windows_of(model, WIDE):
        wide = _one_by_one(model, Batch(batch.inputs[:1]))
    with windows_of(model, NARROW):
        narrow = _Trial(batch=batch, expected=_one_by_one(model, batch), is_narrow=True)
    if not torch.equal(narrow.expected[: len(wide)], wide):
        return [*trials, narrow]
    if has_local_layers(model.config):
        msg = f"nothing shows whether {' and '.join(names)} of its configuration is kept"
        raise CannotPackError(msg)
    return trials


def _one_by_one(model: Any, batch: Batch) -> torch.Tensor:
    with torch.inference_mode():
        return torch.cat([_alone(model, one) for one in batch.inputs])


def _agreeing_bert(model: Any, trials: Sequence[_Trial], *, may_copy: bool, n_apart: int) -> PackedModel:
    candidate = packed_bert(model, may_copy=may_copy, n_apart=n_apart)
    _check(candidate, model, trials)
    if may_copy:
        # Its layers are kept in another layout; otherwise the weights would be in memory twice.
        model.encoder.layer = torch.nn.ModuleList()
    return candidate


def _agreeing_interface(model: Any, trials: Sequence[_Trial]) -> PackedModel:
    candidate = packed_by_interface(model)
    _check(candidate, model, trials)
    for trial in trials:
        with trial.conditions(model):
            candidate.try_sharing(trials[0].batch)
        if not candidate.prefix_sharing.is_used:
            break
    return candidate


def _check(candidate: PackedModel, model: Any, trials: Sequence[_Trial]) -> None:
    """Raise CannotPackError unless the candidate agrees with every trial."""
    for trial in trials:
        with trial.conditions(model):
            agrees = _agrees(candidate, trial.batch, trial.expected)
        if not agrees:
            msg = "a trial at load gave other numbers" + (" where its windows end" if trial.is_narrow else "")
            raise CannotPackError(msg)


def _agrees(candidate: PackedModel, trial: Batch, expected: torch.Tensor) -> bool:
    row = PackedRow(trial.lengths, expected.device)
    with torch.inference_mode():
        found: tuple[torch.Tensor, ...] = tuple(candidate(trial, reads=reads) for reads in get_args(Reads))
    pairs = zip(found, (expected, expected[row.first_tokens], expected[row.last_tokens]), strict=True)
    scale = float(expected.float().abs().max())
    return all(is_near(one, other, scale=scale) for one, other in pairs)


def _alone(model: Any, one: TokenInput) -> torch.Tensor:
    tensors = {"input_ids": torch.from_numpy(one.ids).long().unsqueeze(0).to(model.device)}
    if getattr(model.config, "type_vocab_size", 0) > 1:
        tensors["token_type_ids"] = torch.from_numpy(one.type_ids).long().unsqueeze(0).to(model.device)
    states: torch.Tensor = model(**tensors).last_hidden_state[0]
    return states
