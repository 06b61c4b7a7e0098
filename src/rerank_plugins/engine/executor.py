"""Run inputs through a scorer: pack, forward, one copy to the host, check, restore order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from rerank_plugins.engine.packing import batch_cost_tokens, pack
from rerank_plugins.errors import ScoringError
from rerank_plugins.protocols import Batch, Scorer, TokenInput

__all__ = ["TokenBudget", "execute"]

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class TokenBudget:
    """Token slots a batch may occupy; halved, and remembered, when the device runs out of memory."""

    tokens: int


def execute(
    scorer: Scorer, inputs: Sequence[TokenInput], *, budget: TokenBudget, options: Hashable = None
) -> npt.NDArray[np.float32]:
    """Return one row per input, in input order; equal inputs are run once and get equal rows.

    Without that, rounding inside a batch could rank two copies of one document apart.

    Args:
        scorer: The model.
        inputs: What to run, in any order of length.
        budget: Shared by all calls on one model.
        options: Passed to the scorer with each batch.

    Returns:
        Shape: (inputs, width), float32; (0, 0) without inputs.

    Raises:
        ScoringError: The model returned NaN.
        torch.OutOfMemoryError: A single input does not fit the device.
    """
    if not inputs:
        return np.zeros((0, 0), dtype=np.float32)
    row_of_key: dict[Hashable, int] = {}
    unique: list[TokenInput] = []
    row_of_input: list[int] = []
    for one in inputs:
        row = row_of_key.setdefault((one.ids.tobytes(), one.type_ids.tobytes(), one.segments), len(unique))
        if row == len(unique):
            unique.append(one)
        row_of_input.append(row)
    rows = _run(scorer, unique, budget=budget, options=options)
    _check_numbers(rows)
    return rows[row_of_input]


def _run(
    scorer: Scorer, inputs: Sequence[TokenInput], *, budget: TokenBudget, options: Hashable
) -> npt.NDArray[np.float32]:
    """Return one row per input, in input order; every batch runs once."""
    lengths = [len(one) for one in inputs]
    waiting = deque(pack(lengths, budget_tokens=budget.tokens, padded=scorer.is_padded))
    order: list[int] = []
    rows: list[torch.Tensor] = []
    with torch.inference_mode():
        while waiting:
            indices = waiting.popleft()
            try:
                rows.append(scorer.forward(Batch([inputs[index] for index in indices], options)))
            except torch.OutOfMemoryError:
                if len(indices) == 1:
                    raise
                smaller = _repacked(indices, lengths, budget=budget, padded=scorer.is_padded)
                waiting.extendleft(reversed(smaller))
                continue
            order.extend(indices)
        gathered = torch.cat(rows).to("cpu").numpy()
    restored = np.empty_like(gathered)
    restored[order] = gathered
    return restored


def _check_numbers(rows: npt.NDArray[np.float32]) -> None:
    bad = np.isnan(rows).any(axis=1)
    if bad.any():
        msg = (
            f"the model returned NaN for {int(bad.sum())} of {len(rows)} inputs; half precision overflowed or the "
            "weights are damaged. Try dtype='float32'."
        )
        raise ScoringError(msg)


def _repacked(indices: list[int], lengths: Sequence[int], *, budget: TokenBudget, padded: bool) -> list[list[int]]:
    """Halve the budget after an out-of-memory error and split the batch that failed.

    Called from an ``except`` block: with nothing left to split the error goes on to the caller.
    """
    if len(indices) == 1:
        raise
    failed = [lengths[index] for index in indices]
    cost = batch_cost_tokens(failed, padded=padded)
    budget.tokens = max(1, min(budget.tokens, cost) // 2)
    logger.warning("out of memory: token budget is now %d a batch", budget.tokens)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return [
        [indices[position] for position in batch] for batch in pack(failed, budget_tokens=budget.tokens, padded=padded)
    ]
