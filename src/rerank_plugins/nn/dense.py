"""Linear layers with fused GELU or residual sum: plain torch, or oneDNN with the weight packed once.

PyTorch sends float32 products on a CPU to MKL, which runs at half of oneDNN's speed or less on AMD processors, and
leaves GELU and residual sums to passes of their own over memory. The two operators used here are those that
TorchInductor emits for frozen CPU graphs; they are private, so their presence and their answers are checked before
they are used.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import torch

__all__ = ["Dense", "PackedDense", "PlainDense", "dense", "has_packed_products", "spare_rows"]

_ROWS_HINT = 2_048
"""oneDNN chooses the layout of the packed weight for about so many rows; other numbers work too."""

_TOLERANCE = 1e-4

_STEPS = ((128, 8), (256, 16), (512, 32))
"""Most rows, and the number of which they become a multiple."""

_LARGEST_STEP = 64


def spare_rows(n_rows: int) -> int:
    """Return how many rows to add to a batch so that oneDNN sees few different numbers of rows.

    oneDNN makes a primitive for each number of rows, in 0.8 ms and 0.6 MB a product (oneDNN 3.12, AVX-512),
    and keeps 1,024 of them: a process that sees batches of every size grows by hundreds of MB. With these steps there
    are 88 numbers up to 4,096, for less than 1 % more rows in a full batch on average and 4 % in one short text.
    """
    return -n_rows % next((step for most, step in _STEPS if n_rows <= most), _LARGEST_STEP)


class Dense(Protocol):
    """``x @ weight.T + bias``, alone or with what follows. All inputs and results have the shape (tokens, features)."""

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the product."""
        ...

    def gelu(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the exact GELU (with erf) of the product."""
        ...

    def add(self, rows: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """Return the product plus ``residual``."""
        ...


class PlainDense:
    """A linear layer by torch's own functions; shares the tensors it is given.

    Args:
        weight: Shape: (out, in).
        bias: Shape: (out,).
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        self._weight, self._bias = weight, bias

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the product."""
        return torch.nn.functional.linear(rows, self._weight, self._bias)

    def gelu(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the exact GELU of the product."""
        return torch.nn.functional.gelu(self(rows))

    def add(self, rows: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """Return the product plus ``residual``."""
        return self(rows) + residual


class PackedDense:
    """A linear layer that holds a copy of the weight in oneDNN's packed layout.

    Args:
        weight: On the CPU. Shape: (out, in).
        bias: Shape: (out,).
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), _ROWS_HINT)
        self._bias = bias.detach()

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the product."""
        return torch.ops.mkldnn._linear_pointwise(rows, self._weight, self._bias, "none", [], "")  # type: ignore[no-any-return]

    def gelu(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the exact GELU of the product."""
        return torch.ops.mkldnn._linear_pointwise(rows, self._weight, self._bias, "gelu", [], "none")  # type: ignore[no-any-return]

    def add(self, rows: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """Return the product plus ``residual``."""
        return torch.ops.mkldnn._linear_pointwise.binary(rows, residual, self._weight, self._bias, "add")  # type: ignore[no-any-return]


def dense(weight: torch.Tensor, bias: torch.Tensor, *, may_copy: bool = True) -> Dense:
    """Return the fastest linear layer there is for a weight.

    Args:
        weight: Shape: (out, in).
        bias: Shape: (out,).
        may_copy: Whether a second copy of the weight may be made.
    """
    if may_copy and weight.device.type == "cpu" and has_packed_products(weight.dtype):
        return PackedDense(weight, bias)
    return PlainDense(weight, bias)


@cache
def has_packed_products(dtype: torch.dtype) -> bool:
    """Return whether this torch has the two operators for a precision and they give what plain torch gives."""
    if dtype not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    generator = torch.Generator().manual_seed(0)
    weight, bias, rows, residual = (
        torch.randn(*shape, generator=generator).to(dtype) for shape in ((48, 32), (48,), (7, 32), (7, 48))
    )
    try:
        with torch.inference_mode():
            plain, packed = PlainDense(weight, bias), PackedDense(weight, bias)
            answers = [
                (one(rows).float(), one.gelu(rows).float(), one.add(rows, residual).float()) for one in (plain, packed)
            ]
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    for one, other in zip(*answers, strict=True):
        # Plain torch rounds the product before it adds the residual, so that both lie a step of the precision apart.
        step = torch.finfo(dtype).eps * float(one.abs().max())
        if not torch.allclose(one, other, atol=max(_TOLERANCE, step)):
            return False
    return True
