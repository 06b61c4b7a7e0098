"""Late chunking: the vectors of chunks from the token states of a text that was read whole.

Reference: Günther et al., "Late Chunking: Contextual Chunk Embeddings Using Long-Context Embedding Models"
(arXiv 2409.04701), and jina-ai/late-chunking, ``chunked_pooling/__init__.py``: the vector of a chunk is the mean of its
tokens' states. What follows the pooling of the model itself follows it here too.
"""

from __future__ import annotations

import torch

from rerank_plugins.nn.backbone import TokenStates
from rerank_plugins.nn.pooling import SentenceHead
from rerank_plugins.protocols import Batch
from rerank_plugins.scorers.chunk_rows import ChunkedInput, ChunkRow

__all__ = ["chunk_rows"]


def chunk_rows(head: SentenceHead, states: TokenStates, batch: Batch, layout: ChunkRow) -> torch.Tensor:
    """Return one row per input with the vectors of its chunks in its first slots, zeros behind them.

    Args:
        head: What is behind the pooling.
        states: Token states of the batch.
        batch: Inputs with chunks.
        layout: How the rows lie.

    Returns:
        Shape: (inputs, slots * dim), float32.
    """
    first_tokens = states.row.first_tokens.tolist()
    starts, ends, places = [], [], []
    for number, (one, first) in enumerate(zip(batch.inputs, first_tokens, strict=True)):
        chunks = one.chunks if isinstance(one, ChunkedInput) else ()
        starts += [first + start for start, _ in chunks]
        ends += [first + end for _, end in chunks]
        places += [number * layout.slots + slot for slot in range(len(chunks))]
    vectors = head.apply_modules(_means(states.flat, starts, ends))
    rows = vectors.new_zeros(len(batch) * layout.slots, vectors.shape[1])
    rows[torch.tensor(places, device=rows.device)] = vectors
    return rows.reshape(len(batch), -1)


def _means(flat: torch.Tensor, starts: list[int], ends: list[int]) -> torch.Tensor:
    """Return the mean state of each range of tokens; ranges may overlap. Shape: (ranges, hidden)."""
    device = flat.device
    lengths = torch.tensor(ends, device=device) - torch.tensor(starts, device=device)
    ranges = torch.repeat_interleave(torch.arange(len(starts), device=device), lengths)
    before = torch.cumsum(lengths, 0) - lengths
    tokens = torch.arange(len(ranges), device=device) - before[ranges] + torch.tensor(starts, device=device)[ranges]
    sums = flat.new_zeros(len(starts), flat.shape[1]).index_add_(0, ranges, flat[tokens])
    return sums / lengths[:, None]
