"""Attention over a packed row of texts. Each text attends to itself and, if it has a shared prefix, to that.

On a CPU torch's scaled dot-product attention runs once over each run of texts of equal length; batches are sorted by
length, so runs are long. On CUDA a variable-length kernel takes all texts at once where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial

import torch
from torch.nn.functional import scaled_dot_product_attention

from rerank_plugins.nn.packed_row import PackedRow, Run
from rerank_plugins.nn.varlen import VarlenKernel, varlen_kernel

__all__ = ["attend", "attend_first", "attend_softcapped"]

_HALF = (torch.float16, torch.bfloat16)

_AVX512_FLOATS = 16

_MOST_SPARE_KEYS = {torch.float32: 12, torch.bfloat16: 15}
"""In float32 fewer than four keys too many for whole vectors cost less than the mask; with AVX2 the gain is a tenth. In
bfloat16 the products gain too. (Measured.)"""


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    row: PackedRow,
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
        row: Where the texts lie.
        scale: Factor of the dot products; None takes 1 / sqrt(head_dim).
        is_causal: Whether a token sees only itself and what is before it.
        window: A token sees only those nearer than so many positions; None sees all.

    Returns:
        Shape: (tokens, heads, head_dim).

    Raises:
        ValueError: A text continues another, and attention is not causal.
    """
    if row.is_shared and not is_causal:
        msg = "attention looks both ways, so what begins a text depends on how it goes on"
        raise ValueError(msg)
    if row.unseen is not None:
        return _attend_seen((query, key, value), row, scale=scale, is_causal=is_causal, window=window)
    kernel = _kernel(query)
    if kernel is not None:
        left = -1 if window is None else window - 1
        if row.key_rows is not None:
            key, value = key[row.key_rows], value[row.key_rows]
        return kernel(
            query,
            key,
            value,
            query_offsets=row.cu_seqlens,
            key_offsets=row.key_cu_seqlens,
            longest=(row.longest, max(row.key_lengths)),
            scale=scale or query.shape[-1] ** -0.5,
            # Where a text has fewer queries than keys, its last query stands at its last key.
            reach=(left, 0 if is_causal else left),
        )
    grouped = key.shape[1] != query.shape[1]
    sdpa = partial(scaled_dot_product_attention, scale=scale, enable_gqa=grouped)
    parts = []
    for run in row.runs:
        n_keys = run.length if is_causal or window is not None else _whole_vectors(run, key)
        if n_keys > run.length:
            k, v = (_texts_first(one, run, n_rows=n_keys) for one in (key, value))
            attended = sdpa(_texts_first(query, run), k, v, attn_mask=row.hiding(run, n_keys, dtype=query.dtype))
        elif run.prefix is None:
            q, k, v = (_texts_first(one, run) for one in (query, key, value))
            mask = _window_mask(run.length, window, is_causal=is_causal, device=query.device)
            attended = sdpa(q, k, v, attn_mask=mask, is_causal=is_causal and mask is None)
        else:
            attended = _continued(sdpa, (query, key, value), row, run, window)
        parts.append(attended.transpose(1, 2).flatten(0, 1))
    return _joined(parts, like=query, spare=len(query) - row.tokens)


def attend_first(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, row: PackedRow) -> torch.Tensor:
    """Attend from each text's first token only, to all tokens of its text.

    Args:
        query: Shape: (texts, heads, head_dim), with spare rows as in :func:`attend`.
        key: Shape: (tokens, heads, head_dim).
        value: As ``key``.
        row: Where the texts lie.

    Returns:
        Shape: (texts, heads, head_dim).
    """
    kernel = None if row.unseen is not None else _kernel(query)
    if kernel is not None:
        return kernel(
            query,
            key,
            value,
            query_offsets=row.one_each,
            key_offsets=row.cu_seqlens,
            longest=(1, row.longest),
            scale=query.shape[-1] ** -0.5,
            reach=(-1, -1),
        )
    parts = []
    first = 0
    for run in row.runs:
        k, v = (_texts_first(one, run) for one in (key, value))
        q = query[first : first + run.texts].unsqueeze(2)
        mask = None if row.unseen is None else row.seen(run)
        parts.append(scaled_dot_product_attention(q, k, v, attn_mask=mask).squeeze(2))
        first += run.texts
    return _joined(parts, like=query, spare=len(query) - len(row.lengths))


def _attend_seen(
    rows: Sequence[torch.Tensor], row: PackedRow, *, scale: float | None, is_causal: bool, window: int | None
) -> torch.Tensor:
    """Do what :func:`attend` does where some tokens are not attended to: few and short texts, so a mask costs nothing.

    Raises:
        ValueError: A text continues another.
    """
    if row.is_shared:
        msg = "texts with tokens that nobody sees are not continued by others"
        raise ValueError(msg)
    grouped = rows[0].shape[1] != rows[1].shape[1]
    parts = []
    for run in row.runs:
        q, k, v = (_texts_first(one, run) for one in rows)
        mask = row.seen(run, window=window, is_causal=is_causal)
        attended = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=grouped)
        parts.append(attended.transpose(1, 2).flatten(0, 1))
    return _joined(parts, like=rows[0], spare=len(rows[0]) - row.tokens)


def attend_softcapped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    row: PackedRow,
    *,
    scale: float,
    softcap: float,
    window: int | None = None,
) -> torch.Tensor:
    """Causal attention within each text with soft-capped logits, for which torch has no kernel.

    Args:
        query: Shape: (tokens, heads, head_dim).
        key: Shape: (tokens, key heads, head_dim).
        value: As ``key``.
        row: Where the texts lie; none continues another.
        scale: Factor of the dot products.
        softcap: What logits stay within, by ``softcap * tanh(logit / softcap)``.
        window: As in :func:`attend`.

    Returns:
        Shape: (tokens, heads, head_dim).
    """
    n_shared = query.shape[1] // key.shape[1]
    parts = []
    for run in row.runs:
        q, k, v = (_texts_first(one, run) for one in (query, key, value))
        k, v = (one.repeat_interleave(n_shared, dim=1) for one in (k, v))
        logits = softcap * torch.tanh((q @ k.transpose(2, 3)).float() * scale / softcap)
        weights = (logits + row.mask(run, window=window, dtype=torch.float32)).softmax(dim=-1)
        parts.append((weights.to(v.dtype) @ v).transpose(1, 2).flatten(0, 1))
    return _joined(parts, like=query, spare=0)


def _joined(parts: list[torch.Tensor], *, like: torch.Tensor, spare: int) -> torch.Tensor:
    if spare:
        parts.append(like.new_zeros(spare, *like.shape[1:]))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _kernel(query: torch.Tensor) -> VarlenKernel | None:
    # A training takes plain attention: nobody has compared the kernel's backward pass.
    return varlen_kernel() if query.is_cuda and query.dtype in _HALF and not query.requires_grad else None


def _continued(
    sdpa: Callable[..., torch.Tensor], rows: Sequence[torch.Tensor], row: PackedRow, run: Run, window: int | None
) -> torch.Tensor:
    """Attend from texts that continue another one; ``rows`` are queries, keys and values of all texts.

    Shape: (texts, heads, tokens, head_dim).
    """
    query, key, value = rows
    n_prefix = run.n_prefix
    q = _texts_first(query, run)
    k, v = (torch.cat([_prefix_first(one, run), _texts_first(one, run)], dim=2) for one in (key, value))
    windowed = window is not None and window < n_prefix + run.length
    if windowed or n_prefix > run.length:
        mask = row.mask(run, window=window if windowed else None, dtype=query.dtype)
        return sdpa(q, k, v, attn_mask=mask)
    # SDPA aligns the first query with the first key. Extra queries before them, whose results are not read, align it
    # with the right key and cost less than a mask: prefix^2 against tokens^2 products.
    q = torch.nn.functional.pad(q, (0, 0, n_prefix, 0))
    return sdpa(q, k, v, is_causal=True)[:, :, n_prefix:]


def _texts_first(rows: torch.Tensor, run: Run, *, n_rows: int | None = None) -> torch.Tensor:
    """Return a run as SDPA takes it, without copying.

    Args:
        rows: Of all texts. Shape: (tokens, heads, head_dim).
        run: Which of them.
        n_rows: Rows of each text; more than it has are those of its neighbour. None takes its own.

    Returns:
        Shape: (texts, heads, rows of each, head_dim).
    """
    windows = rows[run.start :].unfold(0, n_rows or run.length, run.length)
    return windows[: run.texts].transpose(2, 3)


def _whole_vectors(run: Run, key: torch.Tensor) -> int:
    """Return how many keys to give each text of a run: at best a multiple of a vector of the processor.

    torch's CPU kernel takes the exponentials that do not fill a vector one by one: with AVX-512 a text of 79 tokens
    takes 1.7 times as long as one of 80, in float32 and in bfloat16. Most texts are of such lengths; a neighbour's
    keys, hidden by a mask, cost next to nothing.
    """
    spare = -run.length % _AVX512_FLOATS
    end = run.start + run.length * run.texts + spare
    is_slow = key.device.type == "cpu" and spare <= _MOST_SPARE_KEYS.get(key.dtype, 0) and _has_avx512()
    return run.length + spare if is_slow and end <= len(key) else run.length


@cache
def _has_avx512() -> bool:
    return "AVX512" in torch.backends.cpu.get_cpu_capability()


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
