"""Attention over texts that lie in one row of tokens, each seeing only itself.

On a CPU torch's scaled dot-product attention runs once over each run of texts of equal length; batches are sorted by
length, so runs are long. On CUDA torch's variable-length attention takes all texts at once where it is there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, cached_property
from itertools import groupby
from typing import Any

import torch

__all__ = ["Texts", "attend", "attend_first", "has_varlen"]

logger = logging.getLogger(__name__)

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
        query: Shape: (tokens, heads, head_dim).
        key: Shape: (tokens, key heads, head_dim); fewer heads than the query's are each used by several.
        value: As ``key``.
        texts: Where the texts lie.
        scale: Factor of the dot products; None takes 1 / sqrt(head_dim).
        is_causal: Whether a token sees only itself and what is before it.
        window: A token sees only those nearer than so many positions; None sees all.

    Returns:
        Shape: (tokens, heads, head_dim).
    """
    varlen = _varlen() if query.is_cuda and query.dtype in _HALF else None
    if varlen is not None:
        return varlen(query, key, value, texts, scale=scale, is_causal=is_causal, window=window)
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
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def attend_first(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, texts: Texts) -> torch.Tensor:
    """Attend from each text's first token only, to all tokens of its text.

    Args:
        query: Shape: (texts, heads, head_dim).
        key: Shape: (tokens, heads, head_dim).
        value: As ``key``.
        texts: Where the texts lie.

    Returns:
        Shape: (texts, heads, head_dim).
    """
    varlen = _varlen() if query.is_cuda and query.dtype in _HALF else None
    if varlen is not None:
        return varlen(query, key, value, texts, first_only=True)
    parts = []
    first = 0
    for start, length, count in texts.runs:
        end = start + length * count
        k, v = (_texts_first(one[start:end], count, length) for one in (key, value))
        q = query[first : first + count].unsqueeze(2)
        parts.append(torch.nn.functional.scaled_dot_product_attention(q, k, v).squeeze(2))
        first += count
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def has_varlen() -> bool:
    """Return whether this torch has attention over texts of any lengths for CUDA."""
    return _varlen() is not None


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


_Varlen = Callable[..., torch.Tensor]


@cache
def _varlen() -> _Varlen | None:
    """Return CUDA attention over texts of any lengths, or None if this torch has none.

    The flash kernel is asked for by name: torch 2.14 prefers cuDNN's, which builds a plan for each new shape.
    """
    try:
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        logger.info("torch %s has no variable-length attention; CUDA batches attend by runs", torch.__version__)
        return None

    def run(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        texts: Texts,
        *,
        scale: float | None = None,
        is_causal: bool = False,
        window: int | None = None,
        first_only: bool = False,
    ) -> torch.Tensor:
        reach = -1 if window is None else window - 1
        options: dict[str, Any] = {"scale": scale, "window_size": (reach, 0 if is_causal else reach)}
        if key.shape[1] != query.shape[1]:
            options["enable_gqa"] = True
        offsets, longest = (texts.one_each, 1) if first_only else (texts.offsets, texts.longest)
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            attended = varlen_attn(query, key, value, offsets, texts.offsets, longest, texts.longest, **options)
        return attended if isinstance(attended, torch.Tensor) else attended[0]

    return run
