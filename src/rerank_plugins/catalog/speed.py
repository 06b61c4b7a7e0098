"""How much work a model is: the sizes of its matrices, and what follows from them.

Formula: a token costs 2 floating-point operations for each weight of the linear layers that it passes (one
multiplication, one addition). Per layer these are ``hidden x (2 query_width + 2 key_width)`` for attention and
``hidden x inner x (3 if gated else 2)`` for the feed-forward part; BERT's layers have 12 hidden^2 of them. Left out are
embeddings (looked up, not multiplied), heads (once a text), and the attention scores themselves, ``4 x tokens x
query_width`` a layer: another tenth at 512 tokens for a BERT of width 768, more for narrower models.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from rerank_plugins.catalog.shapes import Shape, bert_shape
from rerank_plugins.catalog.spec import ModelSpec

__all__ = ["SPEED_LIMITS_GFLOP", "SpeedClass", "gflop_per_token", "shape_of", "speed_of"]

SpeedClass = Literal["static", "very fast", "fast", "medium", "slow", "very slow"]

SPEED_LIMITS_GFLOP: Mapping[SpeedClass, float] = MappingProxyType(
    {"static": 0.0, "very fast": 0.05, "fast": 0.3, "medium": 1.5, "slow": 5.0}
)
"""GFLOP a token up to which a model is in a class; each class is some five times the work of the one before."""

_BERT_LIKE = ("bert", "xlm-roberta")


def shape_of(spec: ModelSpec) -> Shape | None:
    """Return the sizes of a model's matrices; None if they are not known."""
    found = spec.signature
    if spec.shape is not None or found is None or found.model_type not in _BERT_LIKE or not found.vocab_size:
        return spec.shape
    return bert_shape(found.num_hidden_layers, found.hidden_size, found.vocab_size, spec.sources.get("signature", ""))


def gflop_per_token(spec: ModelSpec) -> float | None:
    """Return the billions of floating-point operations that a token costs by default; None if that is not known.

    Of a model with a head on many layers, those up to its default layer count.
    """
    shape = shape_of(spec)
    if shape is None:
        return None
    layers = shape.layers if spec.layers is None else spec.layers.default
    return 2 * shape.weights_passed(layers) / 1e9


def speed_of(spec: ModelSpec) -> SpeedClass | None:
    """Return the class of a model's work per token; None if that is not known."""
    gflop = gflop_per_token(spec)
    if gflop is None:
        return None
    return next((name for name, limit in SPEED_LIMITS_GFLOP.items() if gflop <= limit), "very slow")
