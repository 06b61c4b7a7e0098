"""Products in eight-bit integers inside a graph, whose rows do not depend on what else is in the batch.

A weight has a scale for each output, a row of states one for itself: ``round(row / scale)``, ``scale = max|row| / 127``
(per-token dynamic quantisation, as in LLM.int8 without its outlier part, Dettmers et al. 2022, 2208.07339). ONNX
Runtime's own dynamic quantisation has one scale for a whole batch, so a text's score would depend on its company, and
its ``MatMulNBits`` rounds a row alone otherwise than in a batch (1.31). Sums of products are exact integers; attention
and norms are float32.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rerank_plugins.graphs.builder import GraphBuilder, Weights

__all__ = ["Int8Products", "quantised_rows"]

_MOST = 127
_SHIFT = 128
"""Rows of states are unsigned with this zero point: what the processors' instructions take."""


class Int8Products:
    """Adds products in eight bits.

    Args:
        graph: Where to.
        weights: Tensors of the encoder.
    """

    def __init__(self, graph: GraphBuilder, weights: Weights) -> None:
        self._graph, self._weights = graph, weights
        self._rows: dict[str, tuple[str, str]] = {}

    def dense(self, rows: str, name: str) -> str:
        """Return ``rows @ weight.T + bias`` of the weight ``name``. Shape: (rows, outputs), float32."""
        graph = self._graph
        if rows not in self._rows:
            self._rows[rows] = self._quantised(rows)
        integers, scale = self._rows[rows]
        values, scales = quantised_rows(np.asarray(self._weights[f"{name}.weight"], dtype=np.float32))
        weight = graph.weight(f"{name}.weight.int8", np.ascontiguousarray(values.T))
        sums = graph.add("MatMulInteger", integers, weight, graph.constant(_SHIFT, "uint8"))
        scaled = graph.add("Mul", graph.add("Cast", sums, attributes={"to": 1}), scale)
        by_output = graph.add("Mul", scaled, graph.weight(f"{name}.weight.scale", scales[np.newaxis]))
        return graph.add("Add", by_output, graph.weight(f"{name}.bias", self._weights[f"{name}.bias"]))

    def _quantised(self, rows: str) -> tuple[str, str]:
        """Return rows as unsigned integers, and the scale of each. Shapes: (rows, width), (rows, 1)."""
        graph = self._graph
        largest = graph.add("ReduceMax", graph.add("Abs", rows), attributes={"axes": [1], "keepdims": 1})
        least = graph.constant(np.finfo(np.float32).tiny * _MOST, "float32")
        scale = graph.add("Div", graph.add("Max", largest, least), graph.constant(_MOST, "float32"))
        shifted = graph.add("Add", graph.add("Round", graph.add("Div", rows, scale)), graph.constant(_SHIFT, "float32"))
        return graph.add("Cast", shifted, attributes={"to": 2}), scale


def quantised_rows(weight: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return a matrix in int8 with a scale for each row; one that was made of such rows gives the same integers.

    Returns:
        Shapes: (rows, columns) and (rows,).
    """
    largest = np.abs(weight).max(axis=1)
    scales = np.where(largest > 0, largest / _MOST, 1).astype(np.float32)
    return np.rint(weight / scales[:, np.newaxis]).astype(np.int8), scales
