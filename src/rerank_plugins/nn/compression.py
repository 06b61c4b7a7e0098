"""Compression of document tokens between decoder layers, in a packed row.

Reference: ``token_compress`` of bge-reranker-v2.5-gemma2-lightweight (FlagEmbedding 1.3.5,
``inference/reranker/decoder_only/models/gemma_model.py``). Groups of consecutive document tokens are replaced by their
mean; the last group may be smaller. Query and prompt are kept, and positions count again from 0.
"""

from __future__ import annotations

import numpy as np
import torch

from rerank_plugins.nn.packed_row import PackedRow

__all__ = ["compress_documents"]


def compress_documents(states: torch.Tensor, row: PackedRow, *, ratio: int) -> tuple[torch.Tensor, PackedRow]:
    """Return the states with shorter documents, and their row.

    Args:
        states: Token states. Shape: (tokens, hidden).
        row: Where they are; its shared prefixes end before the documents.
        ratio: Document tokens that become one.

    Returns:
        States, shape (fewer tokens, hidden), in the same precision, and the new row.
    """
    documents = [end - start for start, end in row.documents]
    shorter = row.with_documents([-(-n // ratio) for n in documents])
    targets, first = [], 0
    for length, n, (start, end) in zip(shorter.lengths, documents, shorter.documents, strict=True):
        targets += [
            np.arange(first, first + start),
            first + start + np.arange(n) // ratio,
            np.arange(first + end, first + length),
        ]
        first += length
    target = np.concatenate(targets)
    slots = torch.from_numpy(target).to(states.device)
    counts = torch.from_numpy(np.bincount(target, minlength=first)).to(states.device)
    sums = torch.zeros(first, states.shape[1], dtype=torch.float32, device=states.device)
    sums.index_add_(0, slots, states.float())
    return (sums / counts.unsqueeze(1)).to(states.dtype), shorter
