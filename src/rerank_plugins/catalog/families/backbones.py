"""Sizes of models that several families were trained from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rerank_plugins.catalog.shapes import Shape

__all__ = ["MISTRAL_7B", "T5", "T5_ENCODERS"]

MISTRAL_7B = Shape(
    layers=32,
    hidden=4096,
    inner=14_336,
    vocabulary=32_000,
    key_width=1024,
    gated=True,
    source="https://github.com/huggingface/transformers/blob/main/src/transformers/models/mistral/configuration_mistral.py",
)


def _t5(layers: int, hidden: int, inner: int, query_width: int, *, decoder: bool) -> Shape:
    return Shape(
        layers=layers,
        hidden=hidden,
        inner=inner,
        vocabulary=32_128,
        query_width=query_width,
        decoder_layers=layers if decoder else 0,
        source="https://arxiv.org/abs/1910.10683",
    )


def _t5_sizes(*, decoder: bool) -> Mapping[str, Shape]:
    return MappingProxyType(
        {
            "small": _t5(6, 512, 2048, 512, decoder=decoder),
            "base": _t5(12, 768, 3072, 768, decoder=decoder),
            "large": _t5(24, 1024, 4096, 1024, decoder=decoder),
            "3b": _t5(24, 1024, 16_384, 4096, decoder=decoder),
        }
    )


T5 = _t5_sizes(decoder=True)
T5_ENCODERS = _t5_sizes(decoder=False)
