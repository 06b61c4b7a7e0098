"""Attention within texts, against a mask over the whole row; and what the CUDA kernels are asked for.

No kernel runs here: a function with the documented meaning of its arguments stands in for it.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.nn import attention
from rerank_plugins.nn.attention import attend, attend_first, attend_softcapped
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.nn.varlen import VarlenKernel, flash_attn_kernel, torch_kernel

LENGTHS = [7, 4, 4, 4, 2, 1, 1]


def rows(heads: int, *, seed: int) -> torch.Tensor:
    return torch.randn(sum(LENGTHS), heads, 8, generator=torch.Generator().manual_seed(seed))


QUERY, KEY, VALUE = rows(4, seed=1), rows(4, seed=2), rows(4, seed=3)
ROW = PackedRow(LENGTHS, torch.device("cpu"))


def by_one_mask(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, seen: torch.Tensor, scale: float
) -> torch.Tensor:
    """Attend over the whole row at once, one head after the other; ``seen`` is (queries, tokens)."""
    repeats = query.shape[1] // key.shape[1]
    heads = []
    for head in range(query.shape[1]):
        logits = query[:, head] @ key[:, head // repeats].T * scale
        heads.append(logits.masked_fill(~seen, -torch.inf).softmax(-1) @ value[:, head // repeats])
    return torch.stack(heads, dim=1)


def seen_by(*, is_causal: bool, window: int | None) -> torch.Tensor:
    text = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
    distance = torch.arange(len(text)).unsqueeze(1) - torch.arange(len(text))
    seen = text.unsqueeze(1) == text
    if is_causal:
        seen &= distance >= 0
    if window is not None:
        seen &= distance.abs() < window
    return seen


def documented(
    query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size, enable_gqa=False, num_splits=None
):  # type: ignore[no-untyped-def]
    """What torch says of ``varlen_attn``: each text's last query stands at its last key, windows are (left, right)."""
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert max_q == (cu_seq_q[1:] - cu_seq_q[:-1]).max()
    assert max_k == (cu_seq_k[1:] - cu_seq_k[:-1]).max()
    assert enable_gqa == (query.shape[1] != key.shape[1])
    left, right = window_size
    seen = torch.zeros(len(query), len(key), dtype=torch.bool)
    for q0, q1, k0, k1 in zip(cu_seq_q, cu_seq_q[1:], cu_seq_k, cu_seq_k[1:], strict=False):
        position = torch.arange(int(q1 - q0)).unsqueeze(1) + (k1 - k0) - (q1 - q0)
        distance = position - torch.arange(int(k1 - k0))
        seen[q0:q1, k0:k1] = ((distance <= left) | (left < 0)) & ((-distance <= right) | (right < 0))
    return by_one_mask(query, key, value, seen, scale)


def documented_flash_attn(query, key, value, cu_q, cu_k, max_q, max_k, *, softmax_scale, causal, window_size):  # type: ignore[no-untyped-def]
    assert not causal
    gqa = query.shape[1] != key.shape[1]
    return documented(
        query, key, value, cu_q, cu_k, max_q, max_k, scale=softmax_scale, window_size=window_size, enable_gqa=gqa
    )


@pytest.fixture(params=["runs", "torch", "flash_attn"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    kernels: dict[str, VarlenKernel | None] = {
        "runs": None,
        "torch": torch_kernel(documented),
        "flash_attn": flash_attn_kernel(documented_flash_attn),
    }
    assert request.param == "runs" or kernels[request.param] is not None
    monkeypatch.setattr(attention, "_kernel", lambda _query: kernels[request.param])
    return str(request.param)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("window", [None, 1, 3, 100])
@pytest.mark.parametrize("key_heads", [4, 2])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_a_token_sees_its_own_text_only(
    is_causal: bool, window: int | None, key_heads: int, scale: float | None
) -> None:
    key, value = KEY[:, :key_heads], VALUE[:, :key_heads]
    found = attend(QUERY, key, value, ROW, scale=scale, is_causal=is_causal, window=window)
    expected = by_one_mask(QUERY, key, value, seen_by(is_causal=is_causal, window=window), scale or 8**-0.5)
    assert (found - expected).abs().max() <= 1e-5


@pytest.mark.usefixtures("kernel")
def test_first_tokens_alone_get_what_they_get_among_all() -> None:
    everywhere = attend(QUERY, KEY, VALUE, ROW)
    found = attend_first(QUERY[ROW.first_tokens], KEY, VALUE, ROW)
    assert (found - everywhere[ROW.first_tokens]).abs().max() <= 1e-5


@pytest.mark.parametrize("window", [None, 1, 3, 100])
@pytest.mark.parametrize("key_heads", [4, 2])
def test_bounded_logits(window: int | None, key_heads: int) -> None:
    key, value = KEY[:, :key_heads], VALUE[:, :key_heads]
    found = attend_softcapped(QUERY, key, value, ROW, scale=0.7, softcap=1.5, window=window)
    seen = seen_by(is_causal=True, window=window)
    heads = []
    for head in range(4):
        shared = head // (4 // key_heads)
        logits = 1.5 * torch.tanh(QUERY[:, head] @ key[:, shared].T * 0.7 / 1.5)
        heads.append(logits.masked_fill(~seen, -torch.inf).softmax(-1) @ value[:, shared])
    assert (found - torch.stack(heads, dim=1)).abs().max() <= 1e-5
    unbounded = attend(QUERY, key, value, ROW, scale=0.7, is_causal=True, window=window)
    # A token that sees only itself has no choice; where there is one, the bound changes it.
    assert window == 1 or (found - unbounded).abs().max() > 1e-3


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    spare=st.integers(0, 63),
    has_avx512=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_keys_of_neighbours_fill_vectors_and_change_nothing(
    lengths: list[int], spare: int, has_avx512: bool, dtype: torch.dtype
) -> None:
    row = PackedRow(sorted(lengths, reverse=True), torch.device("cpu"))
    generator = torch.Generator().manual_seed(sum(lengths))
    query, key, value = (torch.randn(row.tokens + spare, 2, 8, generator=generator).to(dtype) for _ in range(3))
    seen_keys: list[int] = []

    def sdpa(q: torch.Tensor, k: torch.Tensor, *rest: Any, **options: Any) -> torch.Tensor:
        seen_keys.append(k.shape[2])
        return torch.nn.functional.scaled_dot_product_attention(q, k, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "_has_avx512", lambda: has_avx512)
        patch.setattr(attention, "scaled_dot_product_attention", sdpa)
        found = attend(query, key, value, row)[: row.tokens]
    expected = torch.cat(
        [
            torch.nn.functional.scaled_dot_product_attention(*(one.transpose(0, 1) for one in rows)).transpose(0, 1)
            for rows in zip(*(one[: row.tokens].split(row.lengths) for one in (query, key, value)), strict=True)
        ]
    )
    assert (found - expected).abs().max() <= (1e-5 if dtype == torch.float32 else 0.05)
    for run, n_keys in zip(row.runs, seen_keys, strict=True):
        whole = -(-run.length // 16) * 16
        fits = run.start + run.length * (run.texts - 1) + whole <= len(key)
        widens = has_avx512 and fits and whole - run.length <= (12 if dtype == torch.float32 else 15)
        assert n_keys == (whole if widens else run.length)


# A prefix of 7, with rests longer and shorter than it; a text of its own; a prefix of 2 with a rest.
PIECES, PREFIXES = [7, 9, 4, 4, 1, 3, 2, 5], [None, 0, 0, 0, 0, None, None, 6]


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("window", [None, 1, 3, 8, 100])
@pytest.mark.parametrize("key_heads", [4, 2])
@pytest.mark.parametrize("scale", [None, 0.7])
def test_a_text_sees_what_it_continues(window: int | None, key_heads: int, scale: float | None) -> None:
    generator = torch.Generator().manual_seed(4)
    query, key, value = (torch.randn(sum(PIECES), 4, 8, generator=generator) for _ in range(3))
    key, value = key[:, :key_heads], value[:, :key_heads]
    row = PackedRow(PIECES, torch.device("cpu"), prefixes=PREFIXES)
    found = attend(query, key, value, row, scale=scale, is_causal=True, window=window)
    pieces = torch.arange(sum(PIECES)).split(PIECES)
    for piece, prefix in enumerate(PREFIXES):
        # As if the whole text stood in a row of its own.
        rows = pieces[piece] if prefix is None else torch.cat([pieces[prefix], pieces[piece]])
        distance = torch.arange(len(rows)).unsqueeze(1) - torch.arange(len(rows))
        seen = (distance >= 0) & (distance < (window or len(rows)))
        expected = by_one_mask(query[rows], key[rows], value[rows], seen, scale or 8**-0.5)
        assert (found[pieces[piece]] - expected[-PIECES[piece] :]).abs().max() <= 1e-5


def test_what_looks_ahead_cannot_be_continued() -> None:
    row = PackedRow([2, 1], torch.device("cpu"), prefixes=[None, 0])
    rows = torch.zeros(3, 1, 8)
    with pytest.raises(ValueError, match="looks both ways"):
        attend(rows, rows, rows, row)


def test_an_older_torch_without_windows_is_not_used() -> None:
    def older(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, is_causal=False):  # type: ignore[no-untyped-def]
        raise AssertionError

    assert torch_kernel(older) is None
