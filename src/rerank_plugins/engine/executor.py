"""Run inputs through a scorer: pack, forward, one copy to the host, check, restore order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import numpy.typing as npt

from rerank_plugins.engine.budget import TokenBudget
from rerank_plugins.engine.packing import batch_cost_tokens, pack
from rerank_plugins.engine.side_by_side import forward
from rerank_plugins.engine.statistics import Counters
from rerank_plugins.engine.tensors import (
    ModelRows,
    free_cached_memory,
    gathered_rows,
    is_out_of_memory,
    without_gradients,
)
from rerank_plugins.errors import ScoringError
from rerank_plugins.protocols import Batch, PrefixSharing, Scorer, TokenInput
from rerank_plugins.system.native import let_others_proceed
from rerank_plugins.types import EngineOptions

__all__ = ["execute", "shares_prefixes"]

logger = logging.getLogger(__name__)

_NO_LIMITS = EngineOptions()


def shares_prefixes(scorer: Scorer, limits: EngineOptions) -> bool:
    """Return whether inputs with a common prefix should be put into the same batch."""
    # Not isinstance(scorer, PrefixSharer): that looks up every member of the protocol, at each call.
    sharing: PrefixSharing | None = getattr(scorer, "prefix_sharing", None)
    return limits.share_prefix and sharing is not None and sharing.is_used


def execute(
    scorer: Scorer,
    inputs: Sequence[TokenInput],
    *,
    budget: TokenBudget,
    limits: EngineOptions = _NO_LIMITS,
    options: Hashable = None,
    wanted: Callable[[int], bool] | None = None,
    counters: Counters | None = None,
) -> npt.NDArray[np.float32]:
    """Return one row per input, in input order.

    Args:
        scorer: The model.
        inputs: What to run, in any order of length.
        budget: Shared by all calls on one model.
        limits: How much a batch may hold at most, and whether common prefixes run once.
        options: Passed to the scorer with each batch.
        wanted: Called before each batch: whether a caller still waits for an input (by position); None means all. The
            rows of inputs that did not run are NaN.
        counters: Where to count batches and tokens; None counts nowhere.

    Returns:
        Shape: (inputs, width), float32; (0, 0) if nothing ran.

    Raises:
        ScoringError: The model returned NaN or infinity, or there is no memory for a single input.
        EngineClosedError: The process is ending.
    """
    lengths = [len(one) for one in inputs]
    prefixes = [one.prefix_key for one in inputs] if shares_prefixes(scorer, limits) else None
    budget.allow(limits.max_batch_tokens)
    slots = budget.capped(limits.max_batch_tokens)
    waiting = deque(pack(lengths, budget_tokens=slots, padded=scorer.is_padded, prefixes=prefixes))
    counters = counters or Counters()
    order: list[int] = []
    rows: list[ModelRows] = []
    with without_gradients():
        while waiting:
            indices = _still_wanted(waiting.popleft(), wanted, counters)
            if not indices:
                continue
            let_others_proceed()
            cost = batch_cost_tokens([lengths[index] for index in indices], padded=scorer.is_padded)
            try:
                batch = Batch([inputs[index] for index in indices], options, limits.share_prefix)
                rows.extend(forward(scorer, batch))
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                counters.add("out_of_memory")
                slots = _smaller_budget(budget, cost)
                if len(indices) == 1:
                    raise _too_long(cost) from error
                waiting.extendleft(reversed(_split(indices, lengths, slots=slots, padded=scorer.is_padded)))
                continue
            budget.ran(cost)
            order.extend(indices)
            _count(counters, [lengths[index] for index in indices], padded=scorer.is_padded)
        if not rows:
            return np.zeros((0, 0), dtype=np.float32)
        gathered = gathered_rows(rows)
    _check_numbers(gathered)
    restored = np.full((len(inputs), gathered.shape[1]), np.nan, dtype=np.float32)
    restored[order] = gathered
    return restored


def _still_wanted(indices: list[int], wanted: Callable[[int], bool] | None, counters: Counters) -> list[int]:
    if wanted is None:
        return indices
    kept = [index for index in indices if wanted(index)]
    if len(kept) < len(indices):
        counters.add("inputs_dropped", len(indices) - len(kept))
    return kept


def _count(counters: Counters, lengths: list[int], *, padded: bool) -> None:
    tokens = sum(lengths)
    counters.add("batches")
    counters.add("tokens", tokens)
    counters.add("padding_tokens", batch_cost_tokens(lengths, padded=padded) - tokens)


def _check_numbers(rows: npt.NDArray[np.float32]) -> None:
    finite = np.isfinite(rows)
    if finite.all():
        return
    found = "NaN" if np.isnan(rows).any() else "infinity"
    n_bad = int((~finite.all(axis=1)).sum())
    msg = (
        f"the model returned {found} for {n_bad} of {len(rows)} inputs; half precision overflowed or the weights are "
        "damaged. Try dtype='float32'."
    )
    raise ScoringError(msg)


def _smaller_budget(budget: TokenBudget, cost: int) -> int:
    """Record that a batch ran out of memory, free cached memory, and return the slots to try next."""
    slots = budget.failed(cost)
    logger.warning("out of memory with %d tokens; token budget is now %d a batch", cost, budget.tokens)
    free_cached_memory()
    return slots


def _too_long(tokens: int) -> ScoringError:
    return ScoringError(
        f"out of memory with a single input of {tokens} tokens; a smaller max_length, dtype='bfloat16', a smaller "
        "model or another device would help"
    )


def _split(indices: list[int], lengths: Sequence[int], *, slots: int, padded: bool) -> list[list[int]]:
    failed = [lengths[index] for index in indices]
    return [[indices[position] for position in batch] for batch in pack(failed, budget_tokens=slots, padded=padded)]
