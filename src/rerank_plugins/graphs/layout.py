"""Rows without padding inside a graph: which tokens are there, and how they lie in attention's blocks.

Everything but attention works token by token, so it is computed for a row of all texts' tokens without padding. For
attention alone the texts are laid out side by side, each filled up to the longest.
"""

from __future__ import annotations

from dataclasses import dataclass

from rerank_plugins.graphs.builder import GraphBuilder

__all__ = ["TextRow", "text_row"]


@dataclass(frozen=True, slots=True)
class TextRow:
    """Texts one after the other, as names of values of the graph.

    Attributes:
        lengths: Tokens of each text. Shape: (texts,), int32.
        starts: Where each begins in the row. Shape: (texts,), int64.
        blocks: For each slot of attention's block the token in it; any for a slot behind a text's end. Shape:
            (texts * longest,), int64.
        tokens: For each token its slot. Shape: (tokens,), int64.
        positions: For each token its place in its text, from 0. Shape: (tokens,), int64.
        is_token: Whether a slot holds a token. Shape: (texts, longest), bool.
        block_shape: ``[texts, longest]`` as one tensor, int64.
    """

    lengths: str
    starts: str
    blocks: str
    tokens: str
    positions: str
    is_token: str
    block_shape: str


def text_row(graph: GraphBuilder, lengths: str) -> TextRow:
    """Lay out texts of these lengths. Shape of ``lengths``: (texts,), int64; a text may be empty."""
    axis, zero, one = graph.constant([1]), graph.constant([0]), graph.constant(1)
    starts = graph.add("CumSum", lengths, graph.constant(0), attributes={"exclusive": 1})
    longest = graph.add("ReduceMax", lengths, attributes={"keepdims": 0})
    places = graph.add("Range", graph.constant(0), longest, one)
    last = graph.add("Sub", graph.add("ReduceSum", lengths, attributes={"keepdims": 0}), one)
    by_text = graph.add("Add", graph.add("Unsqueeze", starts, axis), graph.add("Unsqueeze", places, zero))
    blocks = graph.add("Reshape", graph.add("Min", by_text, last), graph.constant([-1]))
    is_token = graph.add("Less", graph.add("Unsqueeze", places, zero), graph.add("Unsqueeze", lengths, axis))
    found = graph.add("NonZero", graph.add("Reshape", is_token, graph.constant([-1])))
    tokens = graph.add("Reshape", found, graph.constant([-1]))
    return TextRow(
        lengths=graph.add("Cast", lengths, attributes={"to": 6}),
        starts=starts,
        blocks=blocks,
        tokens=tokens,
        positions=graph.add("Mod", tokens, longest),
        is_token=is_token,
        block_shape=graph.add("Shape", is_token),
    )
