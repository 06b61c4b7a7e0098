"""The Trainer over queries and texts: vectors in one forward pass, then a loss over their scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers
from torch import Tensor

from rerank_plugins.training.trainer import GroupTrainer, TrainingGroups

__all__ = ["Objective", "VectorTrainer"]

Objective = Callable[[dict[str, Tensor], dict[str, Tensor], dict[str, Any], int], Tensor]
"""(vectors of queries, vectors of texts, the batch, steps done) to the loss."""


class VectorTrainer(GroupTrainer):
    """Trains an embedder on groups.

    Args:
        module: Gives vectors for ``queries`` and ``passages``.
        args: transformers' own arguments.
        groups: What is trained on.
        objective: Of the vectors.
        dev: Measures the module; None where there is no dev set.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        args: transformers.TrainingArguments,
        *,
        groups: TrainingGroups,
        objective: Objective,
        dev: Any,
    ) -> None:
        self._objective = objective
        super().__init__(module, args, groups=groups, loss=_none, dev=dev)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,  # noqa: FBT001, FBT002 - the Trainer's signature
        num_items_in_batch: object = None,
    ) -> Any:
        """Return the loss of a batch of groups, a mean over the groups.

        Raises:
            TrainingError: It is not finite.
        """
        queries, passages = model(queries=inputs["queries"], passages=inputs["passages"])
        # Cosines divided by a temperature of 0.02 need more digits than half precision has.
        with torch.autocast(device_type=inputs["rows"].device.type, enabled=False):
            loss = self._objective(queries, passages, inputs, self.state.global_step)
        if not torch.isfinite(loss):
            raise self._diverged(inputs["rows"], f"the loss is {loss.item()}")
        return (loss, {"queries": queries, "passages": passages}) if return_outputs else loss


def _none(scores: Tensor, _teacher: Tensor | None) -> Tensor:
    msg = "vectors have an objective of their own"
    raise NotImplementedError(msg)
