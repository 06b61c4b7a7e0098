"""Scores of the dev set by a module that is being trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from rerank_plugins.evaluation.measures import Evaluation
from rerank_plugins.protocols import TokenInput
from rerank_plugins.text.pair_inputs import PairInputs
from rerank_plugins.training.batches import PairPadding
from rerank_plugins.training.dev import DevSet
from rerank_plugins.types import BLANK_DOCUMENT_SCORE

__all__ = ["DevScorer", "module_scores"]


class DevScorer:
    """Measures a module on a dev set; the pairs are tokenised once.

    Args:
        dev: The dev set.
        read: Its pairs as the model reads them: with instructions.
        pairs: The model's pair tokenizer.
        padding: The model's tensors.
        batch_size: Pairs of a forward pass.
    """

    def __init__(
        self,
        dev: DevSet,
        read: Sequence[tuple[str, str]],
        pairs: PairInputs,
        padding: PairPadding,
        *,
        batch_size: int,
    ) -> None:
        self._dev, self._padding, self._batch_size = dev, padding, batch_size
        self._inputs = [pair.inputs[0] if pair.inputs else None for pair in pairs.encode(read)]

    def measure(self, module: Any) -> Evaluation:
        """Return the measures of the dev set."""
        return self._dev.measured(self.scores(module))

    def scores(self, module: Any) -> list[float]:
        """Return the score of each of its pairs."""
        not_blank = [one for one in self._inputs if one is not None]
        scores = iter(module_scores(module, not_blank, self._padding, batch_size=self._batch_size))
        return [BLANK_DOCUMENT_SCORE if one is None else next(scores) for one in self._inputs]


def module_scores(module: Any, inputs: list[TokenInput], padding: PairPadding, *, batch_size: int) -> list[float]:
    """Return the logits of pairs, in order; the module is left in training or evaluation mode, as it was.

    Args:
        module: Gives ``logits`` of shape (pairs, 1).
        inputs: The pairs.
        padding: The module's tensors.
        batch_size: Pairs of a forward pass; pairs of similar length go together.
    """
    order = sorted(range(len(inputs)), key=lambda one: len(inputs[one]))
    scores = [0.0] * len(inputs)
    device = next(module.parameters()).device
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                tensors = padding([inputs[one] for one in chosen])
                logits = module(**{name: tensor.to(device) for name, tensor in tensors.items()})["logits"]
                for one, score in zip(chosen, logits.float().flatten().tolist(), strict=True):
                    scores[one] = score
    finally:
        module.train(was_training)
    return scores
