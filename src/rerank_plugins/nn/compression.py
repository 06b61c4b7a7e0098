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
    """Return the states with shorter documents, and the row of these.

    Args:
        states: Token states of all texts, one after the other. Shape: (tokens, hidden).
        row: Where the texts and their documents lie; without documents nothing is compressed.
        ratio: Document tokens that become one.

    Returns:
        States, shape (fewer tokens, hidden), in the same precision, and their row.
    """
    targets, documents, lengths, first = [], [], [], 0
    for length, (start, end) in zip(row.lengths, row.documents or [(0, 0)] * len(row.lengths), strict=True):
        kept = -(-(end - start) // ratio)
        suffix_start = first + start + kept
        targets += [
            np.arange(first, first + start),
            first + start + np.arange(end - start) // ratio,
            np.arange(suffix_start, suffix_start + length - end),
        ]
        documents.append((start, start + kept))
        lengths.append(start + kept + length - end)
        first += lengths[-1]
    target = np.concatenate(targets)
    slots = torch.from_numpy(target).to(states.device)
    counts = torch.from_numpy(np.bincount(target, minlength=first)).to(states.device)
    sums = torch.zeros(first, states.shape[1], dtype=torch.float32, device=states.device)
    sums.index_add_(0, slots, states.float())
    short = PackedRow(lengths, row.device, prefixes=row.prefixes, sources=row.sources, documents=documents)
    return (sums / counts.unsqueeze(1)).to(states.dtype), short
