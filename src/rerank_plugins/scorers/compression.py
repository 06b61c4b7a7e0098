"""Compression of document tokens between decoder layers, in a packed row.

Reference: ``token_compress`` of bge-reranker-v2.5-gemma2-lightweight (FlagEmbedding 1.3.5,
``inference/reranker/decoder_only/models/gemma_model.py``). Groups of consecutive document tokens are replaced by their
mean; the last group may be smaller. Query and prompt are kept, and positions count again from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from rerank_plugins.protocols import TokenInput
from rerank_plugins.scorers.prefixes import RowLayout
from rerank_plugins.scorers.texts import Texts

__all__ = ["PieceSpan", "compress_documents", "piece_spans", "positions_of", "texts_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceSpan:
    """Tokens of one piece of a row: of the beginning that several inputs have in common, or of the rest of an input.

    Attributes:
        start: Where its first token stands in its input: behind what it continues.
        before: Tokens before the document: the query and what stands around it.
        document: Tokens of the document.
        after: Tokens behind it: the prompt.
        prefix: The piece that it continues; None for one that is a beginning.
    """

    start: int = 0
    before: int
    document: int = 0
    after: int = 0
    prefix: int | None = None

    @property
    def total(self) -> int:
        """All its tokens."""
        return self.before + self.document + self.after


def piece_spans(inputs: Sequence[TokenInput], layout: RowLayout) -> list[PieceSpan]:
    """Return the parts of each piece of a row whose common beginnings end before the documents."""
    spans = [PieceSpan(before=length) for length in layout.lengths]
    for one, piece in zip(inputs, layout.pieces, strict=True):
        prefix = layout.prefixes[piece]
        start = 0 if prefix is None else layout.lengths[prefix]
        first, end = (len(one), len(one))
        if one.segments is not None:
            first, end = one.segments.document_start, one.segments.document_end
        spans[piece] = PieceSpan(
            start=start, before=first - start, document=end - first, after=len(one) - end, prefix=prefix
        )
    return spans


def texts_of(spans: Sequence[PieceSpan], device: torch.device) -> Texts:
    """Return where the pieces lie, for attention."""
    return Texts([span.total for span in spans], device, prefixes=[span.prefix for span in spans])


def positions_of(spans: Sequence[PieceSpan], device: torch.device) -> torch.Tensor:
    """Return where each token stands in its own input. Shape: (tokens,), int64."""
    parts = [np.arange(span.start, span.start + span.total) for span in spans]
    return torch.from_numpy(np.concatenate(parts)).to(device)


def compress_documents(
    states: torch.Tensor, spans: Sequence[PieceSpan], *, ratio: int
) -> tuple[torch.Tensor, list[PieceSpan]]:
    """Return the row with shorter documents, and its parts.

    Args:
        states: Token states of all pieces, one after the other. Shape: (tokens, hidden).
        spans: Their parts.
        ratio: Document tokens that become one.

    Returns:
        States, shape (fewer tokens, hidden), in the same precision, and the parts of the new row.
    """
    kept = [replace(span, document=-(-span.document // ratio)) for span in spans]
    targets, first = [], 0
    for span, short in zip(spans, kept, strict=True):
        end = first + span.before + short.document
        targets += [
            np.arange(first, first + span.before),
            first + span.before + np.arange(span.document) // ratio,
            np.arange(end, end + span.after),
        ]
        first = end + span.after
    target = np.concatenate(targets)
    slots = torch.from_numpy(target).to(states.device)
    counts = torch.from_numpy(np.bincount(target, minlength=first)).to(states.device)
    sums = torch.zeros(first, states.shape[1], dtype=torch.float32, device=states.device)
    sums.index_add_(0, slots, states.float())
    return (sums / counts.unsqueeze(1)).to(states.dtype), kept
