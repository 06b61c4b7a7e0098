"""8-bit products: near those in float32, the same for a row in every batch, weights as they are stored."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.nn import int8
from rerank_plugins.nn.dense import PlainDense
from rerank_plugins.nn.int8 import BLOCK_ROWS, Int8Dense, has_int8_products, quantised, split_columns
from rerank_plugins.nn.row_blocks import in_blocks

on_int8 = pytest.mark.skipif(not has_int8_products(), reason="this CPU has no 8-bit products")
GENERATOR = torch.Generator().manual_seed(5)
WEIGHT, BIAS = torch.randn(96, 64, generator=GENERATOR), torch.randn(96, generator=GENERATOR)
ROWS = torch.randn(BLOCK_ROWS + 40, 64, generator=GENERATOR)
RESIDUAL = torch.randn(len(ROWS), 96, generator=GENERATOR)


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.fixture
def detection() -> Iterator[None]:
    has_int8_products.cache_clear()
    yield
    has_int8_products.cache_clear()


@on_int8
def test_products_are_near_those_in_float32() -> None:
    whole, plain = Int8Dense(WEIGHT, BIAS), PlainDense(WEIGHT, BIAS)
    assert 0 < error(whole(ROWS), plain(ROWS)) < 0.02
    assert error(whole.gelu(ROWS), plain.gelu(ROWS)) < 0.02
    assert error(whole.add(ROWS, RESIDUAL), plain.add(ROWS, RESIDUAL)) < 0.02


@on_int8
def test_results_of_gelu_use_all_values() -> None:
    wide = torch.nn.functional.gelu(ROWS)
    expected = PlainDense(WEIGHT, BIAS)(wide)
    exact = error(Int8Dense(WEIGHT, BIAS, follows_gelu=True)(wide), expected)
    assert exact < error(Int8Dense(WEIGHT, BIAS)(wide), expected) < 0.02


@on_int8
@given(start=st.integers(0, len(ROWS) - 1), length=st.integers(1, len(ROWS)), follows_gelu=st.booleans())
@settings(derandomize=True, deadline=None, max_examples=60)
def test_a_row_gives_the_same_in_every_batch(start: int, length: int, follows_gelu: bool) -> None:
    layer = Int8Dense(WEIGHT, BIAS, widths=ROWS.abs().amax(0), follows_gelu=follows_gelu)
    rows = torch.nn.functional.gelu(ROWS) if follows_gelu else ROWS
    part = slice(start, start + length)
    assert torch.equal(layer(rows[part]), layer(rows)[part])
    assert torch.equal(layer.gelu(rows[part]), layer.gelu(rows)[part])
    assert torch.equal(layer.add(rows[part], RESIDUAL[part]), layer.add(rows, RESIDUAL)[part])


@on_int8
def test_inputs_stay_as_they_are_and_rows_of_zeros_give_the_bias() -> None:
    rows, before = ROWS.clone(), ROWS.clone()
    rows[3] = before[3] = 0
    assert torch.allclose(Int8Dense(WEIGHT, BIAS)(rows)[3], BIAS)
    assert torch.equal(rows, before)


@on_int8
def test_a_wide_column_leaves_the_others_their_values() -> None:
    rows = ROWS.clone()
    rows[:, 7] *= 60
    weight = WEIGHT.clone()
    weight[:, 7] /= 60
    expected = PlainDense(weight, BIAS)(rows)
    widths = rows.abs().amax(0)
    assert error(Int8Dense(weight, BIAS, widths=widths)(rows), expected) < 0.4 * error(
        Int8Dense(weight, BIAS)(rows), expected
    )


def test_weights_stored_in_rows_of_int8_come_back_as_they_are() -> None:
    stored = torch.randint(-127, 128, (40, 64), generator=GENERATOR, dtype=torch.int8)
    stored[:, 9] = 127
    scale = torch.rand(40, generator=GENERATOR) + 0.01
    whole, found = quantised(stored.float() * scale.unsqueeze(1))
    assert torch.equal(whole, stored)
    assert torch.allclose(found, scale, rtol=1e-6)


def test_the_widest_columns_are_split_most() -> None:
    widths = torch.ones(384)
    widths[[5, 300]] = torch.tensor([30.0, 6.0])
    copies, further = split_columns(widths)
    assert len(further) == int(copies.sum()) - 384
    assert 0 < len(further) <= 384 // 12
    assert set(further.tolist()) == {5, 300}
    assert copies[5] > copies[300] > 1
    assert float((widths / copies).max()) <= 2.5


def test_even_columns_are_not_split() -> None:
    copies, further = split_columns(torch.linspace(1.0, 1.9, 384))
    assert len(further) == 0
    assert bool((copies == 1).all())


def test_blocks_change_nothing() -> None:
    assert torch.equal(in_blocks(torch.add, n_rows=BLOCK_ROWS)(RESIDUAL, RESIDUAL), RESIDUAL + RESIDUAL)


@pytest.mark.usefixtures("detection")
def test_without_instructions_there_are_no_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "multiplies_int8", lambda: False)
    assert not has_int8_products()


@on_int8
@pytest.mark.usefixtures("detection")
def test_products_that_cut_sums_off_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    product = int8._product
    monkeypatch.setattr(int8, "_product", lambda *arguments: product(*arguments).clamp(max=32_767))
    assert not has_int8_products()
