"""Tokens that nobody sees read the others, and change nothing for them: packed, padded, with windows and causal."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rerank_plugins.nn.attention import attend, attend_first
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.protocols import Batch, TokenInput

LENGTHS, UNSEEN = [6, 6, 5, 3], [2, 0, 4, 1]


def by_definition(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, window: int | None, is_causal: bool
) -> torch.Tensor:
    parts, start = [], 0
    for length, unseen in zip(LENGTHS, UNSEEN, strict=True):
        for place in range(length):
            seen = [
                other
                for other in range(length - unseen)
                if (not is_causal or other <= place) and (window is None or abs(place - other) < window)
            ]
            keys, values = k[start + torch.tensor(seen)], v[start + torch.tensor(seen)]
            weights = torch.softmax((q[start + place] * keys).sum(-1) * q.shape[-1] ** -0.5, dim=0)
            parts.append((weights.unsqueeze(-1) * values).sum(0))
        start += length
    return torch.stack(parts)


@pytest.mark.parametrize(("window", "is_causal"), [(None, False), (5, False), (None, True)])
def test_attention(window: int | None, is_causal: bool) -> None:
    torch.manual_seed(3)
    q, k, v = (torch.randn(sum(LENGTHS), 2, 8) for _ in range(3))
    row = PackedRow(LENGTHS, torch.device("cpu"), unseen=UNSEEN)
    found = attend(q, k, v, row, window=window, is_causal=is_causal)
    assert torch.allclose(found, by_definition(q, k, v, window=window, is_causal=is_causal), atol=1e-5)
    if window is None and not is_causal:
        assert torch.allclose(attend_first(q[row.first_tokens], k, v, row), found[row.first_tokens], atol=1e-5)


def test_a_batch_says_how_many() -> None:
    def one(n_unseen: int) -> TokenInput:
        ids = np.arange(4, dtype=np.int32)
        return TokenInput(ids, np.zeros_like(ids), n_unseen=n_unseen)

    assert Batch([one(0), one(0)]).unseen is None
    assert Batch([one(0), one(3)]).unseen == [0, 3]
    assert len({one(0).key, one(3).key}) == len({one(0).cache_key, one(3).cache_key}) == 2
