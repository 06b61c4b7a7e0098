"""How fast this machine multiplies matrices of a model's sizes, and how many operations a call really executes.

Two rates: the best of some repeats of one product, which is a matter of milliseconds with the weight in the cache, and
what a model's products sustain one after the other, which is the most that a whole request can reach.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.shapes import EncoderShape
from rerank_plugins.engine.side_by_side import most_threads, run_parts

__all__ = [
    "Ceiling",
    "combined_rate",
    "measure_ceiling",
    "observed_linear_flops",
    "share_of_ceiling",
    "sustained_rate",
]

_ROWS = 2_048
_REPEATS = 8

# Which argument of each operator that multiplies with a weight holds the rows.
_INPUT_OF = {"aten::mm": 0, "aten::linear": 0, "aten::addmm": 1, "mkldnn::_linear_pointwise": 0}

Multiply = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """Operations per second on the weight matrices of a shape.

    Attributes:
        stock: With ``torch.nn.functional.linear``.
        prepacked: With oneDNN's pre-packed weights; None where torch has no such operators.
    """

    stock: float
    prepacked: float | None

    @property
    def best(self) -> float:
        """The faster of the two."""
        return max(self.stock, self.prepacked or 0.0)


def combined_rate(parts: list[tuple[float, float]]) -> float:
    """Return the rate of work done one after the other, from (operations, operations per second) of each part."""
    return sum(work for work, _ in parts) / sum(work / rate for work, rate in parts)


def share_of_ceiling(flops: float, seconds: float, ceiling: float) -> tuple[float | None, str]:
    """Return the share of a measured rate that a call reached, and a note.

    A share above 1 cannot be: something else ran while the ceiling was measured. It is no result, and the note says so.

    Args:
        flops: Operations that the call executed.
        seconds: Its time.
        ceiling: Operations per second.
    """
    share = flops / seconds / ceiling
    if share <= 1.0:
        return share, ""
    return None, f"a share of {share:.2f} cannot be: the ceiling was measured on a busy machine; run it again"


def measure_ceiling(shape: EncoderShape, dtype: torch.dtype, *, repeats: int = _REPEATS, rows: int = _ROWS) -> Ceiling:
    """Return the best rates over some repeats, weighted by what each matrix contributes to a block.

    Args:
        shape: Whose matrices.
        dtype: Precision of inputs and weights.
        repeats: Multiplications of each kind; the fastest counts, since a ceiling is wanted.
        rows: Tokens multiplied at once.
    """
    sizes = [(shape.hidden, shape.hidden)] * 4 + [
        (shape.hidden, shape.intermediate),
        (shape.intermediate, shape.hidden),
    ]
    stock: list[tuple[float, float]] = []
    packed: list[tuple[float, float]] = []
    with torch.inference_mode():
        for width, out in dict.fromkeys(sizes):
            work = 2.0 * rows * width * out
            share = work * sizes.count((width, out))
            states = torch.randn(rows, width, dtype=dtype)
            weight, bias = torch.randn(out, width, dtype=dtype), torch.randn(out, dtype=dtype)
            stock.append((share, work / _fastest(_stock(weight, bias), states, repeats)))
            multiply = _prepacked(weight, bias, rows)
            if multiply is not None:
                packed.append((share, work / _fastest(multiply, states, repeats)))
    return Ceiling(stock=combined_rate(stock), prepacked=combined_rate(packed) if len(packed) == len(stock) else None)


def sustained_rate(shape: EncoderShape, dtype: torch.dtype, *, seconds: float, rows: int = _ROWS) -> float:
    """Return the operations per second of all products of a model one after the other, with nothing between them.

    Every layer has weights of its own, as in a model. They run with torch's threads in each product, and with a thread
    for each of some texts, as this project's engine does it; the faster of the two counts.

    Args:
        shape: The model.
        dtype: Precision of inputs and weights.
        seconds: How long each of the two goes on, at least; a model's products are not broken off.
        rows: Tokens multiplied at once.
    """
    with torch.inference_mode():
        products = [_product(*size, dtype) for _ in range(shape.layers) for size in _block(shape)]
        threads = most_threads()
        together = _rate(shape, products, seconds=seconds, rows=rows, dtype=dtype)
        parts = [partial(_rate, shape, products, seconds=seconds, rows=rows, dtype=dtype)] * threads
        return max(together, sum(run_parts(parts)))


def _block(shape: EncoderShape) -> list[tuple[int, int]]:
    """Return the sizes of a block's products as our engine runs them: query, key and value are one."""
    hidden, wide = shape.hidden, shape.intermediate
    return [(hidden, 3 * hidden), (hidden, hidden), (hidden, wide), (wide, hidden)]


def _product(width: int, out: int, dtype: torch.dtype) -> Multiply:
    weight, bias = torch.randn(out, width, dtype=dtype), torch.randn(out, dtype=dtype)
    return _prepacked(weight, bias, _ROWS) or _stock(weight, bias)


def _rate(shape: EncoderShape, products: Sequence[Multiply], *, seconds: float, rows: int, dtype: torch.dtype) -> float:
    """Return the operations per second of calling all products of a model again and again."""
    states = {width: torch.randn(rows, width, dtype=dtype) for width in (shape.hidden, shape.intermediate)}
    inputs = [states[width] for width, _ in _block(shape)] * shape.layers
    work = sum(2.0 * rows * width * out for width, out in _block(shape)) * shape.layers
    for multiply, rows_in in zip(products, inputs, strict=True):
        multiply(rows_in)
    done, start = 0.0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not done:
        for multiply, rows_in in zip(products, inputs, strict=True):
            multiply(rows_in)
        done += work
    return done / elapsed


def _stock(weight: torch.Tensor, bias: torch.Tensor) -> Multiply:
    return lambda states: torch.nn.functional.linear(states, weight, bias)


def _prepacked(weight: torch.Tensor, bias: torch.Tensor, rows: int) -> Multiply | None:
    """Return oneDNN's linear on a reordered weight, or None: the operators are private to torch and may be gone."""
    operators: Any = torch.ops.mkldnn
    try:
        reordered = operators._reorder_linear_weight(weight, rows)
        operators._linear_pointwise(weight.new_zeros(2, weight.shape[1]), reordered, bias, "none", [], "")
    except (AttributeError, RuntimeError):
        return None

    def multiply(states: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = operators._linear_pointwise(states, reordered, bias, "none", [], "")
        return result

    return multiply


def _fastest(multiply: Multiply, states: torch.Tensor, repeats: int) -> float:
    multiply(states)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        multiply(states)
        best = min(best, time.perf_counter() - start)
    return best


class _LinearCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums the operations of products with weights in this thread; attention's products have other operators."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        place = _INPUT_OF.get(func._schema.name)
        if place is not None:
            self.total += 2 * args[place].numel() * result.shape[-1]
        return result


def observed_linear_flops(call: Callable[[], object]) -> int:
    """Return the operations of all products with weights that a call runs in this thread.

    Two for each multiply-add. Padding that is computed counts; rows that are left out do not. Call the model itself,
    not something that hands it to another thread.
    """
    counter = _LinearCounter()
    with torch.no_grad(), counter:
        call()
    return counter.total
