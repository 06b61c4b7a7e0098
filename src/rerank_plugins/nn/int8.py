"""Linear layers in 8-bit integers on CPUs that multiply them (AVX-512 VNNI, AMX).

A weight has one scale for each of its rows (output channels), rounded once. An input row (a token) has a scale of its
own, made from this row alone, and whole numbers are summed exactly in any order: what a row gives depends on no other
row of the batch, to the last bit. Only the products are in 8 bits; what they give, sums and norms are float32.

A few columns of the inputs are ten or more times as wide as the others, in every text, and would leave few of the 256
values to these. They are found on real texts at load and split: a column is there ``k`` times with a ``k``-th of its
values and the same weights, so that weights stay as they are (outlier channel splitting: Zhao et al. 2019,
arXiv:1901.09504).

The product is oneDNN's, through an operator of torch that has one scale for all rows; it gets 1, and rows are scaled
behind it. The operator is private, so its presence and its answers are checked before it is used. It takes unsigned
rows only (it computes others by a reference implementation, a thousand times slower).
"""

from __future__ import annotations

from functools import cache

import torch

from rerank_plugins.system.instructions import multiplies_int8

__all__ = ["BLOCK_ROWS", "SPARE_KEYS", "Int8Dense", "has_int8_products", "quantised", "split_columns"]

BLOCK_ROWS = 512
"""Rows that go through several products at a time. Smaller blocks stay in a core's cache, and each costs a few calls:
256 took 5 % longer on two Zen 4 cores, 768 took 12 %, 2,048 twice as long."""

SPARE_KEYS = 15
"""Rows behind a batch that let attention take whole vectors for its last text as for all others."""

_LINE = 16
"""Numbers in a line of the processor's cache."""

_LARGEST, _MIDDLE, _ALL = 127.0, 128, 255.0
_LEAST_GELU = 0.17
"""No GELU is below -0.17 (its minimum is -0.16997)."""
_TINY = 1e-20

_WIDE, _MOST_FURTHER, _STEP = 2.0, 1 / 12, 16
"""Columns wider than twice the median are split until a twelfth more columns are there, sixteen at a time."""


class Int8Dense:
    """A linear layer with an 8-bit weight in oneDNN's packed layout; see :class:`rerank_plugins.nn.dense.Dense`.

    Args:
        weight: In float32, or in int8 with ``scale``. Shape: (out, in).
        bias: Shape: (out,), float32.
        scale: Of each row of an int8 weight, which is used as it is; None with a float32 one. Shape: (out,).
        widths: Largest size of each input column on real texts, by which the widest are split; None splits none. Shape:
            (in,).
        follows_gelu: Whether inputs are results of an exact GELU: then all 256 values are used for what it can give.
    """

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor,
        *,
        scale: torch.Tensor | None = None,
        widths: torch.Tensor | None = None,
        follows_gelu: bool = False,
    ) -> None:
        whole, self._scale = quantised(weight) if scale is None else (weight, scale.float())
        copies, self._split = split_columns(torch.ones(whole.shape[1]) if widths is None else widths)
        self._share = copies.reciprocal()
        whole = torch.cat([whole, whole[:, self._split]], dim=1)
        self._zeros = torch.zeros(len(whole), dtype=torch.int32)
        self._bias = bias.detach().float()
        self._follows_gelu = follows_gelu
        if follows_gelu:
            # x = scale * u - 0.17: the second part gives the same in every row.
            self._bias = self._bias - _LEAST_GELU * self._scale * whole.sum(1)
        self._weight = torch.ops.onednn.qlinear_prepack(whole.contiguous(), [BLOCK_ROWS, whole.shape[1]])

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the product. Shape: (tokens, out), float32."""
        width = len(self._bias)
        # What attention sums over rows is rounded by where they begin in memory, so all begin where one alone does.
        result = rows.new_empty(len(rows), width + -width % _LINE)[:, :width]
        for part, block in zip(torch.split(result, BLOCK_ROWS), torch.split(rows, BLOCK_ROWS), strict=True):
            product, scale = self._scaled(block)
            torch.addcmul(self._bias, product, scale, out=part)
        return result

    def gelu(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the exact GELU of the product."""
        return torch.ops.aten.gelu_(self(rows))  # type: ignore[no-any-return]

    def add(self, rows: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """Return the product plus ``residual``."""
        return self(rows).add_(residual)

    def _scaled(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return products without bias, and what to multiply each row by."""
        spread = rows.new_empty(len(rows), rows.shape[1] + len(self._split))
        if len(self._split):
            own, further = torch.tensor_split(spread, (rows.shape[1],), dim=1)
            torch.mul(rows, self._share, out=own)
            # Indexing with brackets takes five times as long.
            torch.index_select(own, 1, self._split, out=further)
            rows = spread
        whole, scale = _positive_rows(rows, spread) if self._follows_gelu else _rows(rows, spread)
        zero = 0 if self._follows_gelu else _MIDDLE
        return _product(whole, zero, self._weight, self._scale, self._zeros), scale


def quantised(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a float32 weight in int8, and the scale of each row. Shapes: (out, in), (out,)."""
    scale = (weight.detach().float().abs().amax(1) / _LARGEST).clamp_(min=_TINY)
    return (weight.detach().float() / scale.unsqueeze(1)).round_().to(torch.int8), scale


def split_columns(widths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how often each column is there, and the columns that the further ones are copies of.

    Args:
        widths: Largest size of each column. Shape: (columns,).

    Returns:
        Shapes: (columns,), float32, and (further,), int64; none further where none is much wider than the others.
    """
    copies = torch.ones(len(widths))
    further: list[int] = []
    enough = _WIDE * float(widths.median())
    while len(further) < max(_MOST_FURTHER * len(widths), _STEP) and float((widths / copies).max()) > enough:
        # Products are fastest with whole vectors of columns, so once one is added the others are free.
        for _ in range(_STEP):
            widest = int((widths / copies).argmax())
            copies[widest] += 1
            further.append(widest)
    return copies, torch.tensor(further, dtype=torch.int64)


@cache
def has_int8_products() -> bool:
    """Return whether the CPU multiplies 8-bit integers, and this torch has the operator and it sums them exactly."""
    if not multiplies_int8():
        return False
    generator = torch.Generator().manual_seed(0)
    weight = torch.randint(-127, 128, (48, 64), generator=generator, dtype=torch.int8)
    rows = torch.randint(0, 256, (7, 64), generator=generator, dtype=torch.uint8)
    # Sums of neighbours that 16 bits do not hold: without the instructions they would be cut off.
    weight[0], rows[0] = 127, 255
    expected = ((rows.int() - _MIDDLE) @ weight.int().T).float()
    try:
        packed = torch.ops.onednn.qlinear_prepack(weight, [7, 64])
        found = _product(rows, _MIDDLE, packed, torch.ones(48), torch.zeros(48, dtype=torch.int32))
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return torch.equal(found, expected)


def _product(
    rows: torch.Tensor, zero: int, weight: torch.Tensor, scale: torch.Tensor, zeros: torch.Tensor
) -> torch.Tensor:
    return torch.ops.onednn.qlinear_pointwise(  # type: ignore[no-any-return]
        rows, 1.0, zero, weight, scale, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )


def _rows(rows: torch.Tensor, scratch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each row as scale * (u - 128), u in 1 to 255; ``scratch`` may be ``rows`` and is overwritten."""
    scale = torch.maximum(rows.amax(1, keepdim=True), rows.amin(1, keepdim=True).neg_()).clamp_(min=_TINY)
    scale.div_(_LARGEST)
    return _unsigned(torch.mul(rows, scale.reciprocal(), out=scratch).round_()), scale


def _positive_rows(rows: torch.Tensor, scratch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each row of results of GELU as scale * u - 0.17, u in 0 to 255; ``scratch`` as in :func:`_rows`."""
    scale = rows.amax(1, keepdim=True).add_(_LEAST_GELU).div_(_ALL)
    inverse = scale.reciprocal()
    offset = inverse * _LEAST_GELU - _MIDDLE
    # Two operations: torch.addcmul with two columns does not use vectors.
    return _unsigned(torch.mul(rows, inverse, out=scratch).add_(offset).round_()), scale


def _unsigned(rows: torch.Tensor) -> torch.Tensor:
    """Return whole numbers from -128 to 127 plus 128, in uint8: the conversion to int8 is the fast one."""
    return rows.to(torch.int8).view(torch.uint8).bitwise_xor_(_MIDDLE)
