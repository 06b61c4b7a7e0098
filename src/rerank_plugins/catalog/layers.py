"""Models with a head on many layers: which layers there are, and what a call may ask of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rerank_plugins.errors import InvalidInputError, UnsupportedModelError
from rerank_plugins.types import LayerOptions

__all__ = ["COMPRESS_RATIOS", "LayerRange", "layers_of_config", "resolve_layers"]

COMPRESS_RATIOS = (1, 2, 4, 8)
_ADVISED_LAYER = 28
"""The layer of the examples on both models' cards; later layers cost more and score on another scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRange:
    """The layers of one model that give scores.

    Attributes:
        first: The lowest layer with a head.
        last: The highest one: the number of layers.
        compresses: Whether document tokens can be merged on the way.
    """

    first: int
    last: int
    compresses: bool = False

    @property
    def default(self) -> int:
        """The layer used when none is asked for: 28, as the cards advise, or the last one of a smaller model."""
        return _ADVISED_LAYER if self.first <= _ADVISED_LAYER <= self.last else self.last

    def resolve(self, options: LayerOptions) -> LayerOptions:
        """Return options with every field that the model has filled in and checked.

        The layers stay in the caller's order. Complete options come out as they are.

        Raises:
            InvalidInputError: A value that this model cannot have.
        """
        cutoff = (self.default,) if options.cutoff_layers is None else options.cutoff_layers
        _check_range("cutoff_layers", cutoff, self.first, self.last)
        if not cutoff:
            msg = f"cutoff_layers is empty; give at least one layer from {self.first} to {self.last}"
            raise InvalidInputError(msg)
        if not self.compresses:
            self._refuse_compression(options)
            return LayerOptions(cutoff_layers=cutoff)
        ratio = 1 if options.compress_ratio is None else options.compress_ratio
        if isinstance(ratio, bool) or not isinstance(ratio, int) or ratio not in COMPRESS_RATIOS:
            msg = f"compress_ratio must be one of {', '.join(map(str, COMPRESS_RATIOS))} (1 is off); got {ratio!r}"
            raise InvalidInputError(msg)
        # FlagEmbedding's class compresses at layer 8, which is the published model's first layer with a head.
        default = (self.first,) if self.first < self.last else ()
        compress = default if options.compress_layers is None else options.compress_layers
        _check_range("compress_layers", compress, 1, self.last - 1)
        return LayerOptions(
            cutoff_layers=cutoff,
            compress_ratio=ratio,
            compress_layers=tuple(sorted(set(compress))),
            head_by_layer=bool(options.head_by_layer),
            attention_softcap=bool(options.attention_softcap),
        )

    def _refuse_compression(self, options: LayerOptions) -> None:
        names = [name for name in _names(options) if name != "cutoff_layers"]
        if names:
            msg = f"this model takes cutoff_layers only, not {', '.join(names)}: it compresses nothing"
            raise InvalidInputError(msg)


def resolve_layers(
    layers: LayerRange | None, *, requested: LayerOptions | None, default: LayerOptions | None = None
) -> LayerOptions | None:
    """Return the options of a call, complete; None for a model that has no layers to choose.

    Args:
        layers: The model's layers.
        requested: What the call asks for.
        default: What counts where the call asks for nothing.

    Raises:
        InvalidInputError: The model cannot do that.
    """
    for options in (requested, default):
        if options is not None and not isinstance(options, LayerOptions):
            msg = f"layers must be a LayerOptions or None, got {type(options).__name__}"
            raise InvalidInputError(msg)
    if layers is None:
        for options in (requested, default):
            if options is not None and _names(options):
                names = ", ".join(_names(options))
                msg = f"this model has no layers to choose, so {names} cannot be given; leave layers out"
                raise InvalidInputError(msg)
        return None
    merged = {
        name: value for options in (default, requested) if options is not None for name, value in _set_options(options)
    }
    return layers.resolve(LayerOptions(**merged))


def layers_of_config(config: Mapping[str, Any], *, compresses: bool) -> LayerRange:
    """Return the layers that a checkpoint's ``config.json`` declares.

    Raises:
        UnsupportedModelError: It does not declare heads for the layers from ``start_layer`` on.
    """
    first, last = config.get("start_layer"), config.get("num_hidden_layers")
    # A layerwise model may have one head for all its layers (FlagEmbedding's head_multi).
    has_heads = config.get("layer_wise") if compresses else isinstance(config.get("head_multi"), bool)
    simple = config.get("layer_sep", 1) == 1 and config.get("head_type", "simple") == "simple"
    if not isinstance(first, int) or not isinstance(last, int) or not 1 <= first <= last or not has_heads or not simple:
        msg = (
            "config.json must have start_layer, num_hidden_layers and simple heads for the layers between them "
            f"(layer_wise or head_multi, head_type 'simple', layer_sep 1); it has {dict(config)}"
        )
        raise UnsupportedModelError(msg)
    return LayerRange(first=first, last=last, compresses=compresses)


def _names(options: LayerOptions) -> list[str]:
    return [name for name, _ in _set_options(options)]


def _set_options(options: LayerOptions) -> list[tuple[str, Any]]:
    pairs = [(field.name, getattr(options, field.name)) for field in fields(options)]
    return [(name, value) for name, value in pairs if value is not None]


def _check_range(name: str, layers: Sequence[int], lowest: int, highest: int) -> None:
    outside = [layer for layer in layers if not lowest <= layer <= highest]
    if outside:
        msg = f"{name} must be from {lowest} to {highest} for this model; got {', '.join(map(str, outside))}"
        raise InvalidInputError(msg)
