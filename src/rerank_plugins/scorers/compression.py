"""Document tokens merged on the way through a decoder.

Reference: ``token_compress`` of bge-reranker-v2.5-gemma2-lightweight (FlagEmbedding 1.3.5,
``inference/reranker/decoder_only/models/gemma_model.py``). Groups of consecutive document tokens become their mean;
the last group may be smaller. Query and prompt stay, and positions count anew from 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

__all__ = ["TokenSpans", "compress_document"]


@dataclass(frozen=True, slots=True)
class TokenSpans:
    """Tokens of each input's parts, in their order: query with all before the document, document, prompt.

    Shape of each: (inputs,), int64.
    """

    query: torch.Tensor
    document: torch.Tensor
    prompt: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        """Tokens of each input. Shape: (inputs,), int64."""
        return self.query + self.document + self.prompt


def compress_document(states: torch.Tensor, spans: TokenSpans, *, ratio: int) -> tuple[torch.Tensor, TokenSpans]:
    """Return shorter inputs and their spans.

    Args:
        states: Token states padded on the right. Shape: (inputs, tokens, hidden).
        spans: Where each input's parts lie.
        ratio: Document tokens that become one.

    Returns:
        States, zero behind each input's end, shape (inputs, shorter, hidden), and the new spans.
    """
    n_inputs, n_tokens, n_hidden = states.shape
    kept = replace(spans, document=(spans.document + ratio - 1) // ratio)
    width = int(kept.total.max())
    place = torch.arange(n_tokens, device=states.device).unsqueeze(0)
    after_query = place - spans.query.unsqueeze(1)
    removed = (spans.document - kept.document).unsqueeze(1)
    in_document = (after_query >= 0) & (after_query < spans.document.unsqueeze(1))
    in_prompt = after_query >= spans.document.unsqueeze(1)
    target = torch.where(in_document, spans.query.unsqueeze(1) + after_query // ratio, place - removed * in_prompt)
    # Padding goes to one column more, which is cut off.
    target = torch.where(place < spans.total.unsqueeze(1), target, width)
    rows = torch.arange(n_inputs, device=states.device).unsqueeze(1)
    slots = (rows * (width + 1) + target).reshape(-1)
    size = n_inputs * (width + 1)
    sums = torch.zeros(size, n_hidden, dtype=torch.float32, device=states.device)
    sums.index_add_(0, slots, states.reshape(-1, n_hidden).float())
    counts = torch.zeros(size, dtype=torch.float32, device=states.device)
    counts.index_add_(0, slots, torch.ones_like(slots, dtype=torch.float32))
    means = (sums / counts.clamp(min=1.0).unsqueeze(1)).view(n_inputs, width + 1, n_hidden)[:, :width]
    return means.to(states.dtype), kept
