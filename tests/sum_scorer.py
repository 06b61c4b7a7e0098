"""A scorer whose answers can be checked by hand, for tests of the engine."""

from __future__ import annotations

import numpy as np
import torch

from rerank_plugins.engine.packing import batch_cost_tokens
from rerank_plugins.protocols import Batch, TokenInput


def token_input(*ids: int) -> TokenInput:
    values = np.array(ids, dtype=np.int32)
    return TokenInput(values, np.zeros_like(values))


class SumScorer:
    """Adds the ids of each input; records batches; runs out of memory above a limit."""

    def __init__(self, *, is_padded: bool = True, memory_tokens: int | None = None) -> None:
        self.is_padded = is_padded
        self.memory_tokens = memory_tokens
        self.batches: list[list[int]] = []
        self.closed = False

    def forward(self, batch: Batch) -> torch.Tensor:
        if self.memory_tokens is not None:
            cost = batch_cost_tokens(batch.lengths, padded=self.is_padded)
            if cost > self.memory_tokens:
                raise torch.OutOfMemoryError
        self.batches.append(batch.lengths)
        return torch.tensor([[float(one.ids.sum())] for one in batch.inputs])

    def close(self) -> None:
        self.closed = True
