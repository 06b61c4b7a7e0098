"""Which inputs may share a padded forward pass, so that none changes what the others get.

Two things of a neighbour can reach an input: rotary frequencies (:mod:`rerank_plugins.nn.rotary`), and padding, which
some architectures do not leave out (MobileBERT's and ConvBERT's tokens look at the ones beside them, FNet and CANINE
mix all places). The second is tried at load: inputs of such a model run with those of their own length only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch

from rerank_plugins.nn.packed import REFUSALS, is_near
from rerank_plugins.nn.rotary import RotaryLengths
from rerank_plugins.nn.trials import TRIAL_LENGTHS, trial_of
from rerank_plugins.protocols import Batch

__all__ = ["Passes"]

logger = logging.getLogger(__name__)


class Passes:
    """How the inputs of a batch are divided among forward passes.

    Args:
        model: The transformers model.
    """

    def __init__(self, model: Any) -> None:
        self._name = type(model).__name__
        self._rotary = RotaryLengths(model)
        self._by_length = False

    def try_padding(self, model: Any, run: Callable[[Batch], torch.Tensor]) -> None:
        """Keep inputs of different lengths apart from now on, unless padding is shown to change nothing.

        Args:
            model: The model.
            run: Returns the rows of a batch, those of each input one after the other.
        """
        with torch.inference_mode():
            try:
                trial = _trial_of(model)
                together = run(trial)
                alone = torch.cat([run(Batch([one])) for one in trial.inputs])
                self._by_length = not is_near(together, alone)
            except REFUSALS as error:
                # CANINE runs no text as short as that.
                logger.info("a trial of padding fails with %s", type(error).__name__)
                self._by_length = True
        if self._by_length:
            logger.info("padding may change what %s gives; only inputs of one length run together", self._name)

    def groups(self, lengths: Sequence[int]) -> list[list[int]]:
        """Return the places of inputs that get the same numbers alone and together.

        Args:
            lengths: Tokens of each input.
        """
        if not self._by_length:
            return self._rotary.groups(lengths)
        by_length: dict[int, list[int]] = {}
        for place, length in enumerate(lengths):
            by_length.setdefault(length, []).append(place)
        return list(by_length.values())

    def start(self) -> None:
        """Forget what the forward pass before has left in the model."""
        self._rotary.reset()


def _trial_of(model: Any) -> Batch:
    """Return inputs of several lengths, with the end that a classifier on an encoder and a decoder reads (BART, T5)."""
    trial = trial_of(model, TRIAL_LENGTHS)
    end = getattr(model.config, "eos_token_id", None)
    if getattr(model.config, "is_encoder_decoder", False) and isinstance(end, int):
        for one in trial.inputs:
            one.ids[-1] = end
    return trial
