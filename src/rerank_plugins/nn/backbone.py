"""Runs a transformer on batches, packed if possible and otherwise padded, with one form of results for the heads."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from inspect import Parameter, signature
from typing import Any

import torch

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.nn.bert_encoder import Reads
from rerank_plugins.nn.compiling import compile_regions, compiler_errors
from rerank_plugins.nn.packed import PackedModel, is_near
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.nn.passes import Passes
from rerank_plugins.nn.trials import TRIAL_LENGTHS, CannotPackError, int8_model, packed_model, trial_of
from rerank_plugins.protocols import Batch, PrefixSharing

__all__ = ["Backbone", "TokenStates", "padded_tensors"]

logger = logging.getLogger(__name__)

_WITH_TYPES = ("funnel", "xlnet")
"""Architectures with segments of which the configuration does not say so."""


@dataclass(frozen=True, slots=True, eq=False)
class TokenStates:
    """Final token states of a batch, and how they lie.

    Attributes:
        flat: The states of all inputs, one after the other. Shape: (tokens, hidden), float32.
        row: Where the inputs lie in it, each a text of its own.
    """

    flat: torch.Tensor
    row: PackedRow

    def first(self) -> torch.Tensor:
        """Return the state of each input's first token. Shape: (inputs, hidden)."""
        return self.flat[self.row.first_tokens]

    def last(self) -> torch.Tensor:
        """Return the state of each input's last token. Shape: (inputs, hidden)."""
        return self.flat[self.row.last_tokens]

    def mean(self) -> torch.Tensor:
        """Return the mean state of each input, special tokens included. Shape: (inputs, hidden)."""
        lengths = self.row.seqlens
        sums = self.flat.new_zeros(len(lengths), self.flat.shape[1])
        sums.index_add_(0, self.row.text_of_token, self.flat)
        return sums / lengths.unsqueeze(1)

    def alone(self) -> list[TokenStates]:
        """Return the states of each input, as if it had been alone."""
        lengths = self.row.lengths
        parts = torch.split(self.flat, lengths)
        return [TokenStates(one, PackedRow([length], one.device)) for one, length in zip(parts, lengths, strict=True)]

    def padded(self) -> torch.Tensor:
        """Return the states right-padded with zeros. Shape: (inputs, longest, hidden)."""
        return torch.nn.utils.rnn.pad_sequence(list(torch.split(self.flat, self.row.lengths)), batch_first=True)


class Backbone:
    """A transformers encoder or decoder without head.

    Args:
        model: The model, in eval mode, on its device.
        is_ours: Whether nobody else uses it. If so its weights may be laid out anew; if not it is left as it is.
        n_apart: Number of the lowest layers in which the two texts of a pair do not see each other
            (:mod:`rerank_plugins.nn.apart`).
        int8_texts: Real texts to try products in 8-bit integers on, which are used if states stay near; None does not.
            A model that cannot, or does not stay near, stays as it is, with a warning.

    Raises:
        UnsupportedModelError: Layers are to be apart, and the model cannot run packed.

    Attributes:
        padding_reason: Why batches are padded; empty if they are not.
        runs_int8: Whether products run in 8-bit integers.
    """

    def __init__(self, model: Any, *, is_ours: bool = True, n_apart: int = 0, int8_texts: Batch | None = None) -> None:
        self._model = model
        # An encoder's configuration may have a setting of a KV cache that only its decoder has (T5).
        self._options = {"use_cache": False} if "use_cache" in signature(model.forward).parameters else {}
        self._packed: PackedModel | None = None
        self._passes = Passes(model)
        self.padding_reason = ""
        if int8_texts is not None:
            self._packed = _in_int8(model, int8_texts, n_apart=n_apart)
        self.runs_int8 = self._packed is not None
        if self.runs_int8:
            return
        try:
            self._packed = packed_model(model, is_ours=is_ours, n_apart=n_apart)
        except CannotPackError as error:
            if n_apart:
                msg = f"this model's lower layers read two texts apart, which is done in packed rows only ({error})"
                raise UnsupportedModelError(msg) from error
            self.padding_reason = str(error)
            self._passes.try_padding(model, lambda batch: self._together(batch, reads="all").flat)

    @property
    def is_padded(self) -> bool:
        """Whether batches are padded."""
        return self._packed is None

    @property
    def is_thread_safe(self) -> bool:
        """Whether several threads may run some inputs of a batch each, at the same time."""
        return self._packed is not None and self._packed.is_thread_safe

    @property
    def prefix_sharing(self) -> PrefixSharing:
        """Whether a common prefix of inputs runs once if only last tokens are read."""
        if self._packed is None:
            return PrefixSharing(is_used=False, reason="its batches are padded")
        return self._packed.prefix_sharing

    def compile(self) -> str:
        """Compile the parts that work token by token, see :mod:`rerank_plugins.nn.compiling`.

        Returns:
            Why nothing was compiled; empty if something was.

        Raises:
            UnsupportedModelError: There is no compiler, or what it makes gives other numbers.
        """
        trial = trial_of(self._model, TRIAL_LENGTHS)
        with torch.inference_mode():
            before = self(trial).flat
            found = compile_regions(self._model) if self._packed is None else self._packed.compile()
            if not found:
                return "it has no parts that a compiler could make faster"
            with compiler_errors():
                after = self(trial).flat
        if not is_near(after, before):
            msg = "torch.compile makes this model give other numbers here; leave torch_compile out"
            raise UnsupportedModelError(msg)
        return ""

    def __call__(self, batch: Batch, *, reads: Reads = "all") -> TokenStates:
        """Return the final token states of a batch, in float32 whatever the model's precision.

        Args:
            batch: What to run.
            reads: ``first`` promises that only :meth:`TokenStates.first` is asked for, ``last`` likewise; that is
                faster and takes less memory.
        """
        groups = self._passes.groups(batch.lengths)
        if len(groups) == 1:
            return self._together(batch, reads=reads)
        parts: dict[int, torch.Tensor] = {}
        for places in groups:
            some = Batch([batch.inputs[place] for place in places], batch.options, batch.shares_prefixes)
            found = self._together(some, reads=reads)
            parts.update(zip(places, torch.split(found.flat, found.row.lengths), strict=True))
        ordered = [parts[place] for place in range(len(batch))]
        states = torch.cat(ordered)
        return TokenStates(states, PackedRow([len(one) for one in ordered], states.device))

    def _together(self, batch: Batch, *, reads: Reads) -> TokenStates:
        """Return the states of inputs of which none changes what the others get."""
        self._passes.start()
        if self._packed is not None:
            lengths = batch.lengths if reads == "all" else [1] * len(batch)
            states = self._packed(batch, reads=reads).float()
            return TokenStates(states, PackedRow(lengths, states.device))
        tensors = padded_tensors(batch, self._model)
        # Padding on the right: a decoder looks back only, so no token sees it.
        hidden = self._model(**tensors, **self._options).last_hidden_state
        ends = torch.tensor(batch.lengths, device=hidden.device).unsqueeze(1)
        states = hidden[torch.arange(hidden.shape[1], device=hidden.device) < ends].float()
        return TokenStates(states, PackedRow(batch.lengths, states.device))


def _in_int8(model: Any, texts: Batch, *, n_apart: int) -> PackedModel | None:
    try:
        return int8_model(model, texts, n_apart=n_apart)
    except CannotPackError as error:
        logger.warning("dtype='int8' is not used for %s, which runs in float32: %s", type(model).__name__, error)
        return None


def padded_tensors(batch: Batch, model: Any) -> dict[str, torch.Tensor]:
    """Return a batch as the right-padded tensors that a transformers encoder takes.

    Returns:
        ``input_ids``, ``attention_mask`` where the model takes one (FNet of transformers 4 does not) and, for models
        with more than one segment, ``token_type_ids``. Shape of each: (inputs, max tokens), int64, on the model's
        device.
    """
    shape = (len(batch), max(batch.lengths))
    ids = torch.full(shape, max(model.config.pad_token_id or 0, 0), dtype=torch.int64)
    mask = torch.zeros(shape, dtype=torch.int64)
    types = torch.zeros(shape, dtype=torch.int64)
    for row, one in enumerate(batch.inputs):
        length = len(one)
        ids[row, :length] = torch.from_numpy(one.ids)
        mask[row, : length - one.n_unseen] = 1
        types[row, :length] = torch.from_numpy(one.type_ids)
    tensors = {"input_ids": ids}
    if _takes_mask(type(model).forward):
        tensors["attention_mask"] = mask
    has_types = getattr(model.config, "type_vocab_size", 0) > 1
    if has_types or (model.config.model_type in _WITH_TYPES and bool(types.any())):
        tensors["token_type_ids"] = types
    return {name: tensor.to(model.device) for name, tensor in tensors.items()}


@cache
def _takes_mask(forward: Callable[..., Any]) -> bool:
    parameters = signature(forward).parameters.values()
    return any(one.name == "attention_mask" or one.kind is Parameter.VAR_KEYWORD for one in parameters)
