"""What is computed of an encoder's final states: scores of classifiers, the mini models' head, pooled vectors."""

from __future__ import annotations

import numpy as np

from rerank_plugins.graphs.builder import GraphBuilder, Weights
from rerank_plugins.graphs.encoder import EncodedRow

__all__ = ["add_first_token_head", "add_mean", "add_segment_similarity"]

_TRANSPOSED = {"transB": 1}


def add_first_token_head(graph: GraphBuilder, weights: Weights, states: str, *, dense: str, last: str) -> str:
    """Add BERT's pooler and classifier, or RoBERTa's head: dense, tanh, dense on the first token.

    Args:
        graph: Where to.
        weights: Its tensors.
        states: States of first tokens. Shape: (texts, hidden).
        dense: Name of the first product.
        last: Name of the second one.

    Returns:
        Shape: (texts, labels).
    """
    names = [f"{dense}.weight", f"{dense}.bias", f"{last}.weight", f"{last}.bias"]
    first, first_bias, second, second_bias = (graph.weight(name, weights[name]) for name in names)
    pooled = graph.add("Tanh", graph.add("Gemm", states, first, first_bias, attributes=_TRANSPOSED))
    return graph.add("Gemm", pooled, second, second_bias, attributes=_TRANSPOSED)


def add_mean(graph: GraphBuilder, encoded: EncodedRow) -> str:
    """Add the mean of each text's states. Shape: (texts, hidden)."""
    ends = graph.add("Unsqueeze", graph.add("Cast", encoded.row.lengths, attributes={"to": 7}), graph.constant([1]))
    places = _places(graph, encoded)
    return _masked_mean(graph, _block(graph, encoded, encoded.states), graph.add("Less", places, ends))


def add_segment_similarity(graph: GraphBuilder, weights: Weights, encoded: EncodedRow, *, eps: float) -> str:
    """Add the head of the mini rerankers; the formula is in :mod:`rerank_plugins.nn.segment_similarity`.

    It declares one more input, ``segments``: where query and document begin and end, special tokens excluded. Shape:
    (texts, 4), int64.

    Args:
        graph: Where to.
        weights: Its tensors.
        encoded: Final states of all tokens.
        eps: Least length of a state in a cosine.

    Returns:
        Shape: (texts, 1).
    """
    return _SegmentSimilarity(graph, weights, encoded, eps=eps).build()


class _SegmentSimilarity:
    def __init__(self, graph: GraphBuilder, weights: Weights, encoded: EncodedRow, *, eps: float) -> None:
        self._graph, self._weights, self._encoded = graph, weights, encoded
        self._eps = graph.constant(eps, "float32")
        self._segments = graph.input("segments", "int64", ("texts", 4))

    def build(self) -> str:
        graph = self._graph
        states = _block(graph, self._encoded, self._encoded.states)
        in_query, in_document = self._between(0), self._between(2)
        cosine = self._cosine(_masked_mean(graph, states, in_query), _masked_mean(graph, states, in_document))
        # Query tokens come first, so the rows that can matter end with the query that ends last.
        end = graph.add("ReduceMax", self._column(1), attributes={"axes": [0], "keepdims": 1})
        tokens = self._compared(states, in_document, end)
        is_query = self._first(in_query, end)
        weight = graph.constant(self._weights["head.token_weight"].reshape(-1, 1), "float32")
        gate = graph.add("Squeeze", graph.add("MatMul", self._first(states, end), weight), graph.constant([2]))
        lowest = graph.constant(-1e4, "float32")
        shares = graph.add("Softmax", graph.add("Where", is_query, gate, lowest), attributes={"axis": -1})
        shares = graph.add("Mul", shares, graph.add("Cast", is_query, attributes={"to": 1}))
        compared = graph.add("ReduceSum", graph.add("Mul", shares, tokens), graph.constant([1]))
        total = graph.add("Add", graph.add("Mul", self._scale("mean_scale"), cosine), compared)
        first = graph.add("Gather", self._encoded.states, self._encoded.row.starts)
        linear = [graph.constant(self._weights[f"head.linear.{one}"], "float32") for one in ("weight", "bias")]
        return graph.add("Add", total, graph.add("Gemm", first, *linear, attributes=_TRANSPOSED))

    def _compared(self, states: str, in_document: str, end: str) -> str:
        """Return how well each query token is found in the document. Shape: (texts, longest query)."""
        graph, middle = self._graph, self._graph.constant([1])
        unit = graph.add("Div", states, self._length(states))
        products = graph.add(
            "MatMul", self._first(unit, end), graph.add("Transpose", unit, attributes={"perm": [0, 2, 1]})
        )
        inside = graph.add("Unsqueeze", in_document, middle)
        nearest = graph.add("Where", inside, products, graph.constant(-1.0, "float32"))
        ids = _block(graph, self._encoded, self._encoded.ids, has_width=False)
        query_ids = graph.add("Unsqueeze", self._first(ids, end), graph.constant([2]))
        equal = graph.add("And", graph.add("Equal", query_ids, graph.add("Unsqueeze", ids, middle)), inside)
        found = [
            graph.add("ReduceMax", one, attributes={"axes": [2], "keepdims": 0})
            for one in (nearest, graph.add("Cast", equal, attributes={"to": 1}))
        ]
        scaled = [
            graph.add("Mul", self._scale(f"{name}_scale"), one)
            for name, one in zip(("maxsim", "exact"), found, strict=True)
        ]
        return graph.add("Add", *scaled)

    def _cosine(self, first: str, second: str) -> str:
        graph = self._graph
        product = graph.add("ReduceSum", graph.add("Mul", first, second), graph.constant([1]))
        return graph.add("Div", product, graph.add("Mul", self._length(first), self._length(second)))

    def _length(self, vectors: str) -> str:
        lengths = self._graph.add("ReduceL2", vectors, attributes={"axes": [-1], "keepdims": 1})
        return self._graph.add("Max", lengths, self._eps)

    def _first(self, values: str, end: str) -> str:
        """Return the first ``end`` tokens of each text."""
        return self._graph.add("Slice", values, self._graph.constant([0]), end, self._graph.constant([1]))

    def _between(self, column: int) -> str:
        """Return which tokens lie between two columns of ``segments``. Shape: (texts, longest), bool."""
        graph = self._graph
        places = _places(graph, self._encoded)
        start, end = (graph.add("Unsqueeze", self._column(one), graph.constant([1])) for one in (column, column + 1))
        return graph.add("And", graph.add("GreaterOrEqual", places, start), graph.add("Less", places, end))

    def _column(self, number: int) -> str:
        return self._graph.add("Gather", self._segments, self._graph.constant(number), attributes={"axis": 1})

    def _scale(self, name: str) -> str:
        return self._graph.constant(self._weights[f"head.{name}"], "float32")


def _places(graph: GraphBuilder, encoded: EncodedRow) -> str:
    """Return 0 to the length of the longest text."""
    longest = graph.add("Gather", encoded.row.block_shape, graph.constant(1))
    return graph.add("Range", graph.constant(0), longest, graph.constant(1))


def _block(graph: GraphBuilder, encoded: EncodedRow, values: str, *, has_width: bool = True) -> str:
    """Return the values of tokens side by side. Shape: (texts, longest) and what a token has besides."""
    shape = encoded.row.block_shape
    if has_width:
        shape = graph.add("Concat", shape, graph.constant([-1]), attributes={"axis": 0})
    return graph.add("Reshape", graph.add("Gather", values, encoded.row.blocks), shape)


def _masked_mean(graph: GraphBuilder, states: str, mask: str) -> str:
    """Return the mean over the marked tokens, zero where none is marked. Shape: (texts, hidden)."""
    axis, marked = graph.constant([1]), graph.add("Cast", mask, attributes={"to": 1})
    weighted = graph.add("Mul", states, graph.add("Unsqueeze", marked, graph.constant([2])))
    total = graph.add("ReduceSum", weighted, axis, attributes={"keepdims": 0})
    counts = graph.add("ReduceSum", marked, axis)
    return graph.add("Div", total, graph.add("Max", counts, graph.constant(np.float32(1.0), "float32")))
