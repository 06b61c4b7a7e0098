"""Attention over texts that lie in one row of tokens, each seeing only itself.

On a CPU torch's scaled dot-product attention runs once over each run of texts of equal length; batches are sorted by
length, so runs are long. On CUDA a variable-length kernel takes all texts at once where there is one.
"""

from __future__ import annotations

from functools import cached_property
from itertools import groupby

import torch

from rerank_plugins.scorers.varlen import VarlenKernel, varlen_kernel

__all__ = ["Texts", "attend", "attend_first"]

_HALF = (torch.float16, torch.bfloat16)


class Texts:
    """Where the texts lie in the row.

    Args:
        lengths: Tokens of each text, in the order of the row.
        device: Where the row is.
    """

    def __init__(self, lengths: list[int], device: torch.device) -> None:
        self.lengths, self.device = lengths, device

    @cached_property
    def runs(self) -> list[tuple[int, int, int]]:
        """(first token, tokens, texts) of each run of texts of equal length."""
        runs = []
        start = 0
        for length, group in groupby(self.lengths):
            count = sum(1 for _ in group)
            runs.append((start, length, count))
            start += length * count
        return runs

    @cached_property
    def tokens(self) -> int:
        """Tokens of all texts."""
        return sum(self.lengths)

    @cached_property
    def ends(self) -> torch.Tensor:
        """The position behind each text. Shape: (texts,), int64, on the device."""
        return torch.tensor(self.lengths).cumsum(0).to(self.device, non_blocking=True)

    @cached_property
    def first(self) -> torch.Tensor:
        """The position of each text's first token. Shape: (texts,), int64, on the device."""
        starts = torch.tensor([0, *self.lengths[:-1]]).cumsum(0)
        return starts.to(self.device, non_blocking=True)

    @cached_property
    def offsets(self) -> torch.Tensor:
        """0 and the position behind each text. Shape: (texts + 1,), int32, on the device."""
        return torch.nn.functional.pad(self.ends, (1, 0)).to(torch.int32)

    @cached_property
    def one_each(self) -> torch.Tensor:
        """0, 1, ... up to the number of texts: offsets of one query each. Shape: (texts + 1,), int32, on the device."""
        return torch.arange(len(self.lengths) + 1, dtype=torch.int32, device=self.device)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest text."""
        return max(self.lengths)


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    texts: Texts,
    *,
    scale: float | None = None,
    is_causal: bool = False,
    window: int | None = None,
) -> torch.Tensor:
    """Attend within each text.

    Args:
        query: Shape: (tokens, heads, head_dim). On a CPU there may be spare rows behind the texts; their results are 0.
        key: Shape: (tokens, key heads, head_dim); fewer heads than the query's are each used by several.
        value: As ``key``.
        texts: Where the texts lie.
        scale: Factor of the dot products; None takes 1 / sqrt(head_dim).
        is_causal: Whether a token sees only itself and what is before it.
        window: A token sees only those nearer than so many positions; None sees all.

    Returns:
        Shape: (tokens, heads, head_dim).
    """
    kernel = _kernel(query)
    if kernel is not None:
        left = -1 if window is None else window - 1
        return kernel(
            query,
            key,
            value,
            query_offsets=texts.offsets,
            key_offsets=texts.offsets,
            longest=(texts.longest, texts.longest),
            scale=scale or query.shape[-1] ** -0.5,
            reach=(left, 0 if is_causal else left),
        )
    grouped = key.shape[1] != query.shape[1]
    parts = []
    for start, length, count in texts.runs:
        end = start + length * count
        q, k, v = (_texts_first(one[start:end], count, length) for one in (query, key, value))
        mask = _window_mask(length, window, is_causal=is_causal, device=query.device)
        run = torch.nn.functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=is_causal and mask is None, scale=scale, enable_gqa=grouped
        )
        parts.append(run.transpose(1, 2).flatten(0, 1))
    return _joined(parts, like=query, spare=len(query) - texts.tokens)


def attend_first(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, texts: Texts) -> torch.Tensor:
    """Attend from each text's first token only, to all tokens of its text.

    Args:
        query: Shape: (texts, heads, head_dim), with spare rows as in :func:`attend`.
        key: Shape: (tokens, heads, head_dim).
        value: As ``key``.
        texts: Where the texts lie.

    Returns:
        Shape: (texts, heads, head_dim).
    """
    kernel = _kernel(query)
    if kernel is not None:
        return kernel(
            query,
            key,
            value,
            query_offsets=texts.one_each,
            key_offsets=texts.offsets,
            longest=(1, texts.longest),
            scale=query.shape[-1] ** -0.5,
            reach=(-1, -1),
        )
    parts = []
    first = 0
    for start, length, count in texts.runs:
        end = start + length * count
        k, v = (_texts_first(one[start:end], count, length) for one in (key, value))
        q = query[first : first + count].unsqueeze(2)
        parts.append(torch.nn.functional.scaled_dot_product_attention(q, k, v).squeeze(2))
        first += count
    return _joined(parts, like=query, spare=len(query) - len(texts.lengths))


def _joined(parts: list[torch.Tensor], *, like: torch.Tensor, spare: int) -> torch.Tensor:
    if spare:
        parts.append(like.new_zeros(spare, *like.shape[1:]))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _kernel(query: torch.Tensor) -> VarlenKernel | None:
    return varlen_kernel() if query.is_cuda and query.dtype in _HALF else None


def _texts_first(rows: torch.Tensor, count: int, length: int) -> torch.Tensor:
    """Return a run as SDPA takes it, without copying. Shape: (texts, heads, length, head_dim)."""
    return rows.view(count, length, *rows.shape[1:]).transpose(1, 2)


def _window_mask(length: int, window: int | None, *, is_causal: bool, device: torch.device) -> torch.Tensor | None:
    """Return which positions see which, or None where the window is wider than the text. Shape: (length, length)."""
    if window is None or window >= length:
        return None
    positions = torch.arange(length, device=device)
    distance = positions.unsqueeze(1) - positions
    return (distance >= 0) & (distance < window) if is_causal else distance.abs() < window
