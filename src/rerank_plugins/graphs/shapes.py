"""The shapes that a model's weights must have: a graph would stretch a bias of one number, where torch refuses it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.graphs.builder import Weights
from rerank_plugins.graphs.settings import EncoderSettings

__all__ = ["check_encoder", "check_head", "check_segment_similarity"]

_Shapes = Mapping[str, tuple[int, ...]]
_TABLES = {"word": "vocab_size", "position": "max_position_embeddings", "token_type": "type_vocab_size"}
"""Tables of embeddings, and the key of a ``config.json`` that says how many rows each has."""


def check_encoder(weights: Weights, settings: EncoderSettings, config: Mapping[str, Any], *, folder: Path) -> None:
    """Refuse an encoder of which a weight has another shape than the config says, as transformers does.

    A text would read behind the end of a smaller table; with more types than the config says none would be fed.

    Args:
        weights: Its tensors by transformers' names, without the model's prefix.
        settings: Its facts.
        config: Its ``config.json``.
        folder: The checkpoint, for the error.

    Raises:
        UnsupportedModelError: One has, or is not there.
    """
    for part, key in _TABLES.items():
        found = weights[f"embeddings.{part}_embeddings.weight"].shape
        # A config may leave a size to transformers' default.
        wanted = (int(config.get(key, found[0])), settings.hidden)
        if found != wanted:
            msg = (
                f"the weights in {str(folder)!r} do not fit its config.json ({part} embeddings of the shape {found}, "
                f"expected {wanted}); download it again"
            )
            raise UnsupportedModelError(msg)
    _check(weights, _norm("embeddings", settings.hidden), folder=folder)
    for number in range(settings.layers):
        _check(weights, _layer(f"encoder.layer.{number}", settings), folder=folder)


def check_head(weights: Weights, names: Iterable[str], *, hidden: int, folder: Path) -> None:
    """Refuse a head whose last product gives other than one score, or does not fit the encoder.

    Args:
        weights: As for :func:`check_encoder`.
        names: Its products in order: the last gives the score, one before it as many numbers as a state has.
        hidden: Width of a state.
        folder: The checkpoint, for the error.

    Raises:
        UnsupportedModelError: It does not fit, or is not there.
    """
    *before, last = names
    for name, rows in (*((one, hidden) for one in before), (last, 1)):
        _check(weights, _product(name, rows, hidden), folder=folder)


def check_segment_similarity(weights: Weights, *, hidden: int, folder: Path) -> None:
    """Refuse a head of the mini rerankers that does not fit the encoder; arguments and errors as for others."""
    check_head(weights, ["head.linear"], hidden=hidden, folder=folder)
    shapes: dict[str, tuple[int, ...]] = {f"head.{one}_scale": (1,) for one in ("exact", "maxsim", "mean")}
    _check(weights, shapes | {"head.token_weight": (1, hidden)}, folder=folder)


def _layer(name: str, settings: EncoderSettings) -> _Shapes:
    hidden, inner = settings.hidden, settings.inner
    shapes: dict[str, tuple[int, ...]] = {}
    for part in ("query", "key", "value"):
        shapes |= _product(f"{name}.attention.self.{part}", hidden, hidden)
    shapes |= _product(f"{name}.attention.output.dense", hidden, hidden)
    shapes |= _norm(f"{name}.attention.output", hidden)
    shapes |= _product(f"{name}.intermediate.dense", inner, hidden)
    shapes |= _product(f"{name}.output.dense", hidden, inner)
    return shapes | _norm(f"{name}.output", hidden)


def _product(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.LayerNorm.{part}": (width,) for part in ("weight", "bias")}


def _check(weights: Weights, shapes: _Shapes, *, folder: Path) -> None:
    for name, wanted in shapes.items():
        found = weights[name].shape
        if found != wanted:
            msg = (
                f"the weights in {str(folder)!r} do not fit its config.json and are not run in ONNX Runtime ({name} "
                f"has the shape {found}, expected {wanted}); download it again"
            )
            raise UnsupportedModelError(msg)
