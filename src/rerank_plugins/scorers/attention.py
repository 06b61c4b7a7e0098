"""Attention over texts that lie in one row of tokens, each seeing only itself and, if it continues another, that one.

On a CPU torch's scaled dot-product attention runs once over each run of texts of equal length; batches are sorted by
length, so runs are long. On CUDA a variable-length kernel takes all texts at once where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from itertools import groupby
from typing import NamedTuple

import torch

from rerank_plugins.scorers.varlen import VarlenKernel, varlen_kernel

__all__ = ["Texts", "attend", "attend_first"]

_HALF = (torch.float16, torch.bfloat16)


class Run(NamedTuple):
    """Neighbouring texts of equal length that continue the same text, or none.

    Attributes:
        start: Their first token.
        length: Tokens of each.
        texts: How many.
        prefix: First token of the text that they continue, and the one behind its last; None if there is none.
    """

    start: int
    length: int
    texts: int
    prefix: tuple[int, int] | None = None


class Texts:
    """Where the texts lie in the row.

    Args:
        lengths: Tokens of each text, in the order of the row.
        device: Where the row is.
        prefixes: For each text the earlier one that it continues, whose tokens it sees as its own; None for one that
            continues nothing. Without it all texts are such.
    """

    def __init__(
        self, lengths: list[int], device: torch.device, *, prefixes: Sequence[int | None] | None = None
    ) -> None:
        self.lengths, self.device = lengths, device
        self.prefixes = [None] * len(lengths) if prefixes is None else list(prefixes)
        self._masks: dict[tuple[int, int, int | None], torch.Tensor] = {}

    @property
    def is_shared(self) -> bool:
        """Whether a text continues another."""
        return any(prefix is not None for prefix in self.prefixes)

    @cached_property
    def runs(self) -> list[Run]:
        """The runs of texts of equal length with the same prefix."""
        spans: list[tuple[int, int]] = []
        for length in self.lengths:
            start = spans[-1][1] if spans else 0
            spans.append((start, start + length))
        runs = []
        start = 0
        for (length, prefix), group in groupby(zip(self.lengths, self.prefixes, strict=True)):
            count = sum(1 for _ in group)
            runs.append(Run(start, length, count, None if prefix is None else spans[prefix]))
            start += length * count
        return runs

    @cached_property
    def tokens(self) -> int:
        """Tokens of all texts."""
        return sum(self.lengths)

    @cached_property
    def key_rows(self) -> torch.Tensor | None:
        """Where the keys of all texts are, a text's prefix before its own; None if no text has one.

        Shape: (sum of keys,), int64, on the device.
        """
        if not self.is_shared:
            return None
        rows = []
        for run in self.runs:
            prefix = torch.arange(*(run.prefix or (0, 0)))
            for start in range(run.start, run.start + run.length * run.texts, run.length):
                rows += [prefix, torch.arange(start, start + run.length)]
        return torch.cat(rows).to(self.device, non_blocking=True)

    @cached_property
    def key_lengths(self) -> list[int]:
        """Keys that each text sees: its own tokens and its prefix's."""
        return [
            length + (0 if prefix is None else self.lengths[prefix])
            for length, prefix in zip(self.lengths, self.prefixes, strict=True)
        ]

    @cached_property
    def key_offsets(self) -> torch.Tensor:
        """0 and the position behind each text's keys among all keys. Shape: (texts + 1,), int32, on the device."""
        return torch.tensor([0, *self.key_lengths]).cumsum(0).to(torch.int32).to(self.device, non_blocking=True)

    def mask(self, run: Run, *, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """Return what is added to the products of a run that continues a text, the same in every layer.

        Shape: (tokens, prefix and own tokens).
        """
        n_keys = run.length + _n_prefix(run)
        key = (run.length, n_keys, window)
        if key not in self._masks:
            positions = torch.arange(n_keys, device=self.device)
            distance = positions[-run.length :].unsqueeze(1) - positions
            hidden = distance < 0 if window is None else (distance < 0) | (distance >= window)
            self._masks[key] = torch.where(hidden, -torch.inf, 0.0).to(dtype)
        return self._masks[key]

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

    Raises:
        ValueError: A text continues another, and attention is not causal.
    """
    if texts.is_shared and not is_causal:
        msg = "attention looks both ways, so what begins a text depends on how it goes on"
        raise ValueError(msg)
    kernel = _kernel(query)
    if kernel is not None:
        left = -1 if window is None else window - 1
        if texts.key_rows is not None:
            key, value = key[texts.key_rows], value[texts.key_rows]
        return kernel(
            query,
            key,
            value,
            query_offsets=texts.offsets,
            key_offsets=texts.key_offsets,
            longest=(texts.longest, max(texts.key_lengths)),
            scale=scale or query.shape[-1] ** -0.5,
            # Where a text has fewer queries than keys, its last query stands at its last key.
            reach=(left, 0 if is_causal else left),
        )
    grouped = key.shape[1] != query.shape[1]
    sdpa = partial(torch.nn.functional.scaled_dot_product_attention, scale=scale, enable_gqa=grouped)
    parts = []
    for run in texts.runs:
        if run.prefix is None:
            q, k, v = (_texts_first(one, run) for one in (query, key, value))
            mask = _window_mask(run.length, window, is_causal=is_causal, device=query.device)
            attended = sdpa(q, k, v, attn_mask=mask, is_causal=is_causal and mask is None)
        else:
            attended = _continued(sdpa, (query, key, value), texts, run, window)
        parts.append(attended.transpose(1, 2).flatten(0, 1))
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
    for run in texts.runs:
        k, v = (_texts_first(one, run) for one in (key, value))
        q = query[first : first + run.texts].unsqueeze(2)
        parts.append(torch.nn.functional.scaled_dot_product_attention(q, k, v).squeeze(2))
        first += run.texts
    return _joined(parts, like=query, spare=len(query) - len(texts.lengths))


def _joined(parts: list[torch.Tensor], *, like: torch.Tensor, spare: int) -> torch.Tensor:
    if spare:
        parts.append(like.new_zeros(spare, *like.shape[1:]))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _kernel(query: torch.Tensor) -> VarlenKernel | None:
    return varlen_kernel() if query.is_cuda and query.dtype in _HALF else None


def _continued(
    sdpa: Callable[..., torch.Tensor], rows: Sequence[torch.Tensor], texts: Texts, run: Run, window: int | None
) -> torch.Tensor:
    """Attend from texts that continue another one; ``rows`` are queries, keys and values of all texts.

    Shape: (texts, heads, tokens, head_dim).
    """
    query, key, value = rows
    n_prefix = _n_prefix(run)
    q = _texts_first(query, run)
    k, v = (torch.cat([_prefix_first(one, run), _texts_first(one, run)], dim=2) for one in (key, value))
    windowed = window is not None and window < n_prefix + run.length
    if windowed or n_prefix > run.length:
        mask = texts.mask(run, window=window if windowed else None, dtype=query.dtype)
        return sdpa(q, k, v, attn_mask=mask)
    # SDPA takes the first query to stand at the first key. Queries that nobody reads, in front, put it right, and cost
    # less than the half of a mask that hides: prefix^2 against tokens^2 products.
    q = torch.nn.functional.pad(q, (0, 0, n_prefix, 0))
    return sdpa(q, k, v, is_causal=True)[:, :, n_prefix:]


def _n_prefix(run: Run) -> int:
    return 0 if run.prefix is None else run.prefix[1] - run.prefix[0]


def _texts_first(rows: torch.Tensor, run: Run) -> torch.Tensor:
    """Return a run as SDPA takes it, without copying. Shape: (texts, heads, length, head_dim)."""
    own = rows[run.start : run.start + run.length * run.texts]
    return own.view(run.texts, run.length, *rows.shape[1:]).transpose(1, 2)


def _prefix_first(rows: torch.Tensor, run: Run) -> torch.Tensor:
    """Return what a run continues, once for each text, without copying. Shape: (texts, heads, prefix, head_dim)."""
    start, end = run.prefix or (0, 0)
    return rows[start:end].transpose(0, 1).expand(run.texts, -1, -1, -1)


def _window_mask(length: int, window: int | None, *, is_causal: bool, device: torch.device) -> torch.Tensor | None:
    """Return which positions see which, or None where the window is wider than the text. Shape: (length, length)."""
    if window is None or window >= length:
        return None
    positions = torch.arange(length, device=device)
    distance = positions.unsqueeze(1) - positions
    return (distance >= 0) & (distance < window) if is_causal else distance.abs() < window
