"""BERT-like encoders as graphs: token embeddings and layers on rows without padding.

Reference: transformers 5.23 ``models/bert/modeling_bert.py`` and ``models/roberta/modeling_roberta.py``. The operators
with names of their own are ONNX Runtime's (``docs/ContribOperators.md`` in its repository). As in
:mod:`rerank_plugins.nn.bert_encoder`, the last layer is computed for the tokens alone that somebody reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from rerank_plugins.graphs.builder import CONTRIB, GraphBuilder, Weights
from rerank_plugins.graphs.int8 import Int8Products
from rerank_plugins.graphs.layout import TextRow, text_row
from rerank_plugins.graphs.settings import EncoderSettings

__all__ = ["EncodedRow", "GraphInputs", "add_encoder", "declare_inputs"]

Reads = Literal["all", "first"]

_TEXTS, _SLOTS = "texts", "slots"

_OPERATORS = MappingProxyType({"gelu": ("Gelu", CONTRIB), "tanh": ("FastGelu", CONTRIB), "relu": ("Relu", "")})
"""What computes each activation, and its domain. (ONNX Runtime's BiasGelu takes three times as long, 1.31.)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphInputs:
    """What is fed, as names of values.

    Attributes:
        ids: Token ids. Shape: (texts, slots), int64.
        mask: 1 for each token, 0 for padding behind it. Shape: (texts, slots), int64.
        types: Segment ids, the same shape; empty for a model without.
        second_starts: Where the second text of a pair begins with its special tokens. Shape: (texts,), int64; empty for
            a model without layers that read them apart.
    """

    ids: str
    mask: str
    types: str = ""
    second_starts: str = ""


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """Final states and where they lie.

    Attributes:
        states: Shape: (tokens, hidden), or (texts, hidden) if only first tokens are read.
        ids: The tokens. Shape: (tokens,), int64.
        row: Where the texts lie.
    """

    states: str
    ids: str
    row: TextRow


def declare_inputs(graph: GraphBuilder, settings: EncoderSettings) -> GraphInputs:
    """Declare the inputs that transformers' own exports have, and what layers that read texts apart need besides."""
    shape = (_TEXTS, _SLOTS)
    return GraphInputs(
        ids=graph.input("input_ids", "int64", shape),
        mask=graph.input("attention_mask", "int64", shape),
        types=graph.input("token_type_ids", "int64", shape) if settings.has_types else "",
        second_starts=graph.input("second_starts", "int64", (_TEXTS,)) if settings.apart else "",
    )


def add_encoder(
    graph: GraphBuilder, weights: Weights, settings: EncoderSettings, inputs: GraphInputs, *, reads: Reads
) -> EncodedRow:
    """Add an encoder.

    Args:
        graph: Where to.
        weights: Its tensors by transformers' names, without the model's prefix.
        settings: Its facts.
        inputs: What is fed.
        reads: ``first`` if only the state of each text's first token is read.
    """
    return _Encoder(graph, weights, settings).build(inputs, reads=reads)


class _Encoder:
    def __init__(self, graph: GraphBuilder, weights: Weights, settings: EncoderSettings) -> None:
        self._graph, self._weights, self._settings = graph, weights, settings
        self._products = Int8Products(graph, weights)

    def build(self, inputs: GraphInputs, *, reads: Reads) -> EncodedRow:
        graph, settings = self._graph, self._settings
        flat = graph.constant([-1])
        lengths = graph.add("ReduceSum", inputs.mask, graph.constant([1]), attributes={"keepdims": 0})
        row = text_row(graph, lengths)
        kept = graph.add("Reshape", graph.add("NonZero", graph.add("Reshape", inputs.mask, flat)), flat)
        parts = row if not settings.apart else self._parts(lengths, inputs.second_starts)
        ids = self._of_tokens(inputs.ids, kept)
        states = self._embedded(inputs, ids, kept, parts)
        for number in range(settings.layers):
            is_last = number == settings.layers - 1
            layout = parts if number < settings.apart else row
            states = self._layer(states, layout, number, reads=reads if is_last else "all")
        return EncodedRow(states, ids, row)

    def _parts(self, lengths: str, starts: str) -> TextRow:
        """Lay out both texts of each pair as texts of their own."""
        graph, axis = self._graph, self._graph.constant([1])
        first = graph.add("Unsqueeze", starts, axis)
        second = graph.add("Unsqueeze", graph.add("Sub", lengths, starts), axis)
        both = graph.add("Concat", first, second, attributes={"axis": 1})
        return text_row(graph, graph.add("Reshape", both, graph.constant([-1])))

    def _of_tokens(self, values: str, kept: str) -> str:
        """Return what (texts, slots) hold for the tokens alone. Shape: (tokens,)."""
        return self._graph.add("Gather", self._graph.add("Reshape", values, self._graph.constant([-1])), kept)

    def _embedded(self, inputs: GraphInputs, ids: str, kept: str, parts: TextRow) -> str:
        """Return the embeddings of the tokens. Shape: (tokens, hidden)."""
        graph, table = self._graph, "embeddings.{}_embeddings.weight"
        positions = parts.positions
        if self._settings.padding_id is not None:
            positions = self._of_tokens(self._positions_after(inputs, self._settings.padding_id), kept)
        words = graph.add("Gather", self._weight(table.format("word")), ids)
        places = graph.add("Gather", self._weight(table.format("position")), positions)
        total = graph.add("Add", words, places)
        types = self._of_tokens(inputs.types, kept) if inputs.types else graph.constant([0])
        total = graph.add("Add", total, graph.add("Gather", self._weight(table.format("token_type")), types))
        return self._normed(total, "embeddings.LayerNorm")

    def _positions_after(self, inputs: GraphInputs, padding_id: int) -> str:
        """Return RoBERTa's positions (``create_position_ids_from_input_ids``). Shape: (texts, slots)."""
        graph, pad = self._graph, self._graph.constant(padding_id)
        is_padding = graph.add("Cast", graph.add("Equal", inputs.ids, pad), attributes={"to": 7})
        real = graph.add("Mul", graph.add("Sub", graph.constant(1), is_padding), inputs.mask)
        counted = graph.add("Mul", graph.add("CumSum", real, graph.constant(1)), real)
        return graph.add("Add", counted, pad)

    def _layer(self, states: str, row: TextRow, number: int, *, reads: Reads) -> str:
        """Return the states after a layer: of all tokens, or of each text's first one."""
        graph, name = self._graph, f"encoder.layer.{number}"
        residual = states if reads == "all" else graph.add("Gather", states, row.starts)
        attention = f"{name}.attention.self"
        query, key, value = (
            self._dense(source, f"{attention}.{part}")
            for part, source in (("query", residual), ("key", states), ("value", states))
        )
        attended = self._attend(query, key, value, row, reads=reads)
        after = self._added(attended, residual, f"{name}.attention.output")
        return self._added(self._widened(after, f"{name}.intermediate.dense"), after, f"{name}.output")

    def _attend(self, query: str, key: str, value: str, row: TextRow, *, reads: Reads) -> str:
        """Return what each token takes from the tokens of its own text. Shape: (rows, hidden)."""
        graph, hidden = self._graph, self._settings.hidden
        shape = graph.add("Concat", row.block_shape, graph.constant([hidden]), attributes={"axis": 0})

        def block(rows: str) -> str:
            return graph.add("Reshape", graph.add("Gather", rows, row.blocks), shape)

        if reads == "first":
            return self._attend_first(query, block(key), block(value), row)
        attended = graph.add(
            "MultiHeadAttention",
            *(block(query), block(key), block(value), "", row.lengths),
            domain=CONTRIB,
            attributes={"num_heads": self._settings.heads},
        )
        return graph.add("Gather", graph.add("Reshape", attended, graph.constant([-1, hidden])), row.tokens)

    def _attend_first(self, query: str, keys: str, values: str, row: TextRow) -> str:
        """Return the same for each text's first token; ONNX Runtime's operator gets that wrong up to 1.20.

        Args:
            query: Shape: (texts, hidden).
            keys: Shape: (texts, longest, hidden).
            values: The same shape.
            row: Where the texts lie.
        """
        graph, heads = self._graph, self._settings.heads
        width = self._settings.hidden // heads
        by_head = graph.constant([0, 0, heads, width])
        turned = [
            graph.add("Transpose", graph.add("Reshape", rows, by_head), attributes={"perm": order})
            for rows, order in ((keys, [0, 2, 3, 1]), (values, [0, 2, 1, 3]))
        ]
        queries = graph.add("Reshape", query, graph.constant([0, heads, 1, width]))
        products = graph.add("Mul", graph.add("MatMul", queries, turned[0]), graph.constant(width**-0.5, "float32"))
        inside = graph.add("Unsqueeze", row.is_token, graph.constant([1, 2]))
        masked = graph.add("Where", inside, products, graph.constant(-1e30, "float32"))
        shares = graph.add("Softmax", masked, attributes={"axis": -1})
        taken = graph.add("MatMul", shares, turned[1])
        return graph.add("Reshape", taken, graph.constant([-1, self._settings.hidden]))

    def _added(self, rows: str, residual: str, name: str) -> str:
        """Return ``norm(rows @ weight + bias + residual)``.

        ONNX Runtime has one operator for the sum and the norm, which takes 20 times as long on a CPU (1.31).
        """
        total = self._graph.add("Add", self._dense(rows, f"{name}.dense"), residual)
        return self._normed(total, f"{name}.LayerNorm")

    def _normed(self, rows: str, name: str) -> str:
        norm = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        attributes = {"epsilon": self._settings.eps, "axis": -1}
        return self._graph.add("LayerNormalization", rows, *norm, attributes=attributes)

    def _widened(self, rows: str, name: str) -> str:
        """Return the activation of the wide product."""
        operator, domain = _OPERATORS[self._settings.activation]
        return self._graph.add(operator, self._dense(rows, name), domain=domain)

    def _dense(self, rows: str, name: str) -> str:
        if self._settings.is_int8:
            return self._products.dense(rows, name)
        weight, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._graph.add("Gemm", rows, weight, bias, attributes={"transB": 1})

    def _weight(self, name: str) -> str:
        return self._graph.weight(name, self._weights[name])
