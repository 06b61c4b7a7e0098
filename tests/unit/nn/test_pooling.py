"""Pooling behind an instruction, by hand: its tokens do not count, their places do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rerank_plugins.nn.backbone import TokenStates
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.nn.pooling import SentenceHead
from rerank_plugins.protocols import Batch, PairSegments, TokenInput

LENGTHS = [4, 2]
STATES = TokenStates(
    torch.tensor([[9.0, -1.0], [2.0, 1.0], [3.0, 5.0], [7.0, 0.0], [4.0, 2.0], [6.0, 8.0]]),
    PackedRow(LENGTHS, torch.device("cpu")),
)


def batch(*starts: int) -> Batch:
    inputs = []
    for length, start in zip(LENGTHS, starts, strict=True):
        ids = np.zeros(length, dtype=np.int32)
        inputs.append(TokenInput(ids, ids, PairSegments(0, start, start, length)))
    return Batch(inputs)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        # The first text without its first token, the second one whole.
        ("cls", [[2.0, 1.0], [4.0, 2.0]]),
        ("last_token", [[7.0, 0.0], [6.0, 8.0]]),
        ("mean", [[4.0, 2.0], [5.0, 5.0]]),
        ("max", [[7.0, 5.0], [6.0, 8.0]]),
        ("mean_sqrt_len", [[12 / 3**0.5, 6 / 3**0.5], [10 / 2**0.5, 10 / 2**0.5]]),
        # Weights are places in the whole text, from 1: (2 * 2 + 3 * 3 + 4 * 7) / 9 and so on.
        ("weighted_mean", [[41 / 9, 17 / 9], [16 / 3, 18 / 3]]),
    ],
)
def test_an_instruction_is_left_out(pooling: str, expected: list[list[float]]) -> None:
    found = SentenceHead((pooling,))(STATES, batch(1, 0))  # type: ignore[arg-type]
    assert found.tolist() == [pytest.approx(row) for row in expected]


def test_several_ways_are_joined_in_their_order() -> None:
    found = SentenceHead(("max", "mean"))(STATES, batch(1, 0))
    assert found.tolist() == [[7.0, 5.0, 4.0, 2.0], [6.0, 8.0, 5.0, 5.0]]


def test_a_text_that_is_all_instruction_gives_zeros() -> None:
    for pooling in ("mean", "max", "weighted_mean", "mean_sqrt_len"):
        found = SentenceHead((pooling,))(STATES, batch(4, 1))  # type: ignore[arg-type]
        assert found[0].tolist() == [0.0, 0.0]
        assert found[1].tolist() != [0.0, 0.0]
