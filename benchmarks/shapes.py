"""Sizes of the models that are measured, and the floating-point operations they need.

Sizes are those of the published checkpoints, but for two things said in the results: the vocabulary is that of the
tokenizer at hand (it does not change how long an encoder takes), and language models are scaled to fit a small machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

__all__ = [
    "ALL_ENCODERS",
    "BERT_BASE",
    "GEMMA_LIKE",
    "MINICPM_LIKE",
    "MINILM",
    "QWEN3_LIKE",
    "XLMR_BASE",
    "XLMR_LARGE",
    "DecoderShape",
    "EncoderShape",
    "ShapeSet",
    "attention_flops",
    "linear_flops",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderShape:
    """A cross-encoder's sizes.

    Attributes:
        name: How the results call it.
        kind: Which architecture of transformers.
        layers: Number of blocks.
        hidden: Width of a token's state.
        heads: Attention heads.
        intermediate: Width inside the feed-forward part.
    """

    name: str
    kind: Literal["bert", "xlm-roberta"]
    layers: int
    hidden: int
    heads: int
    intermediate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderShape:
    """A language model's sizes.

    Attributes:
        name: How the results call it.
        kind: ``gemma`` (scored by one token), ``qwen3`` (by two) or ``minicpm`` (a head on each upper layer).
        layers: Number of blocks.
        hidden: Width of a token's state.
        heads: Query heads.
        kv_heads: Key and value heads.
        head_dim: Width of a head.
        intermediate: Width inside the feed-forward part.
        vocabulary: Rows of the embedding and, but for ``minicpm``, of the output matrix.
        first_head: Lowest layer with a head; ``minicpm`` only.
    """

    name: str
    kind: Literal["gemma", "minicpm", "qwen3"]
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    first_head: int = 0

    @property
    def block_parameters(self) -> int:
        """Weights of all blocks' matrices."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def parameters(self) -> int:
        """Weights of all matrices, the embedding included once."""
        return self.block_parameters + self.vocabulary * self.hidden


MINILM = EncoderShape(name="MiniLM-L6", kind="bert", layers=6, hidden=384, heads=12, intermediate=1536)
BERT_BASE = EncoderShape(name="BERT-base", kind="bert", layers=12, hidden=768, heads=12, intermediate=3072)
XLMR_BASE = replace(BERT_BASE, name="XLM-R-base", kind="xlm-roberta")
XLMR_LARGE = EncoderShape(name="XLM-R-large", kind="xlm-roberta", layers=24, hidden=1024, heads=16, intermediate=4096)
ALL_ENCODERS = (MINILM, BERT_BASE, XLMR_BASE, XLMR_LARGE)

# bge-reranker-v2-gemma is 18 x 2048 with 256,000 tokens, so its output matrix is a quarter of its blocks' weights;
# the vocabulary here keeps that share. Group sizes, head width over hidden and feed-forward over hidden are its own.
GEMMA_LIKE = DecoderShape(
    name="Gemma-like 4x512",
    kind="gemma",
    layers=4,
    hidden=512,
    heads=4,
    kv_heads=1,
    head_dim=128,
    intermediate=4096,
    vocabulary=14_000,
)
# bge-reranker-v2-minicpm-layerwise is 40 x 2304 with heads from layer 8 on.
MINICPM_LIKE = DecoderShape(
    name="MiniCPM-like 40x256",
    kind="minicpm",
    layers=40,
    hidden=256,
    heads=4,
    kv_heads=4,
    head_dim=64,
    intermediate=640,
    vocabulary=8_000,
    first_head=8,
)
# Qwen3-Reranker-0.6B is 28 x 1024 with 16 query and 8 key heads of 128 and 3,072 inside the feed-forward part.
QWEN3_LIKE = DecoderShape(
    name="Qwen3-like 6x512",
    kind="qwen3",
    layers=6,
    hidden=512,
    heads=8,
    kv_heads=4,
    head_dim=128,
    intermediate=1536,
    vocabulary=8_000,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeSet:
    """Which shape plays which part; tests put small ones in."""

    small: EncoderShape = MINILM
    bert_base: EncoderShape = BERT_BASE
    base: EncoderShape = XLMR_BASE
    large: EncoderShape = XLMR_LARGE
    gemma: DecoderShape = GEMMA_LIKE
    minicpm: DecoderShape = MINICPM_LIKE
    qwen: DecoderShape = QWEN3_LIKE


def linear_flops(shape: EncoderShape, lengths: Iterable[int], *, pruned: bool = False) -> int:
    """Return the operations of all matrix multiplications with weights, two for each multiply-add.

    Args:
        shape: The model.
        lengths: Tokens of each input, padding not counted.
        pruned: Whether the last block computes everything but keys and values for each input's first token only.
    """
    lengths = list(lengths)
    tokens, hidden = sum(lengths), shape.hidden
    projection, feed_forward = 2 * hidden * hidden, 4 * hidden * shape.intermediate
    whole = tokens * (4 * projection + feed_forward)
    last = tokens * 2 * projection + len(lengths) * (2 * projection + feed_forward) if pruned else whole
    return (shape.layers - 1) * whole + last


def attention_flops(shape: EncoderShape, lengths: Iterable[int], *, pruned: bool = False) -> int:
    """Return the operations of scores and weighted sums inside attention; arguments as :func:`linear_flops`."""
    lengths = list(lengths)
    whole = sum(4 * length * length * shape.hidden for length in lengths)
    last = sum(4 * length * shape.hidden for length in lengths) if pruned else whole
    return (shape.layers - 1) * whole + last
