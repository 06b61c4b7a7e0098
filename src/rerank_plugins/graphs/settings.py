"""What a graph needs to know of an encoder, read from its ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.errors import UnsupportedModelError

__all__ = ["ACTIVATIONS", "EncoderSettings", "encoder_settings", "refuse"]

_BERT = "bert"
_ROBERTA = ("camembert", "roberta", "xlm-roberta")

ACTIVATIONS: Mapping[str, str] = MappingProxyType(
    {"gelu": "gelu", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh", "gelu_fast": "tanh", "relu": "relu"}
)
"""Names in ``hidden_act``, and what is computed for them: the exact GELU, the one by tanh, ReLU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings:
    """The facts of a BERT-like encoder.

    Attributes:
        layers: Number of layers.
        hidden: Width of a state.
        inner: Width between the two products of a layer's second half.
        heads: Number of attention heads.
        activation: A value of :data:`ACTIVATIONS`.
        eps: What a norm adds to the variance.
        has_types: Whether inputs have segment ids; without them all are 0.
        padding_id: The id from which positions are counted (RoBERTa); None where they start at 0 (BERT).
        apart: Number of the lowest layers in which the two texts of a pair do not see each other.
        is_int8: Whether the layers' products are in eight bits (:mod:`rerank_plugins.graphs.int8`).
    """

    layers: int
    hidden: int
    inner: int
    heads: int
    activation: str
    eps: float
    has_types: bool
    padding_id: int | None
    apart: int = 0
    is_int8: bool = False


def refuse(files: CheckpointFiles, reason: str) -> UnsupportedModelError:
    """Return the error for a checkpoint that no graph is made of."""
    return UnsupportedModelError(
        f"{str(files.folder)!r} cannot run in ONNX Runtime here: {reason}. BERT, RoBERTa and XLM-R encoders can; run "
        'this one with torch: pip install "rerank-plugins[torch]", and backend="torch" where both are installed.'
    )


def encoder_settings(files: CheckpointFiles) -> EncoderSettings:
    """Return the facts of a checkpoint's encoder.

    Raises:
        UnsupportedModelError: It is no BERT-like encoder, or one with a setting that is not done here.
    """
    config, own = files.config, files.own_format
    kind = _BERT if own is not None else str(config.get("model_type"))
    _check_kind(files, kind)
    activation = str(config.get("hidden_act", "gelu"))
    if activation not in ACTIVATIONS:
        raise refuse(files, f"hidden_act={activation!r} is none of {', '.join(ACTIVATIONS)}")
    hidden, heads = int(config.get("hidden_size", 768)), int(config.get("num_attention_heads", 12))
    if hidden % heads:
        raise refuse(files, f"hidden_size={hidden} is no multiple of num_attention_heads={heads}")
    return EncoderSettings(
        layers=int(config.get("num_hidden_layers", 12)),
        hidden=hidden,
        inner=int(config.get("intermediate_size", 3072)),
        heads=heads,
        activation=ACTIVATIONS[activation],
        eps=float(config.get("layer_norm_eps", 1e-12)),
        has_types=int(config.get("type_vocab_size", 2)) > 1,
        padding_id=None if kind == _BERT else int(config.get("pad_token_id", 1)),
        apart=0 if own is None else own.apart_layers,
    )


def _check_kind(files: CheckpointFiles, kind: str) -> None:
    config: Mapping[str, Any] = files.config
    if kind != _BERT and kind not in _ROBERTA:
        raise refuse(files, f"its model_type is {kind!r}")
    if files.needs_remote_code:
        raise refuse(files, "it has code of its own (auto_map)")
    if config.get("is_decoder"):
        raise refuse(files, "it is a decoder (is_decoder)")
    positions = config.get("position_embedding_type")
    if positions not in (None, "absolute"):
        raise refuse(files, f"its positions are relative (position_embedding_type={positions!r})")
