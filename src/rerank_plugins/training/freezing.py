"""Weights that a training leaves as they are: the embeddings, and the lowest layers."""

from __future__ import annotations

from typing import Any

from torch import nn

from rerank_plugins.errors import InvalidInputError

__all__ = ["freeze"]


def freeze(module: Any, *, embeddings: bool, layers: int) -> None:
    """Take weights of a transformer out of training.

    Args:
        module: A model of transformers, or one that has such a model as ``backbone``.
        embeddings: Whether the word embeddings are kept as they are, and with them what stands in the same module:
            positions, types, and their norm in BERT-like models.
        layers: Number of the lowest layers that are kept as they are, without the embeddings below them.

    Raises:
        InvalidInputError: There are not that many layers, or nothing would be left to train.
    """
    model = getattr(module, "backbone", module)
    found = _layers(model)
    if layers > len(found):
        msg = f"frozen_layers={layers}, but the model has {len(found)} layers; at most so many can be frozen"
        raise InvalidInputError(msg)
    frozen: list[nn.Module] = [*found[:layers], *([_embeddings(model)] if embeddings else [])]
    for one in frozen:
        one.requires_grad_(requires_grad=False)
    if frozen and not any(one.requires_grad for one in module.parameters()):
        msg = f"freeze_embeddings and frozen_layers={layers} leave no weight to train; freeze fewer layers"
        raise InvalidInputError(msg)


def _layers(model: nn.Module) -> list[nn.Module]:
    """Return the layers of a transformer: its longest list of modules of one class, the lowest first."""
    lists = [list(one) for one in model.modules() if isinstance(one, nn.ModuleList)]
    return max((one for one in lists if len({type(layer) for layer in one}) == 1), key=len, default=[])


def _embeddings(model: Any) -> nn.Module:
    """Return the module that makes the first states: the word embeddings, with their neighbours where these are all."""
    words: nn.Module = model.get_input_embeddings()
    owner: nn.Module = next(one for one in model.modules() if any(child is words for child in one.children()))
    # In Llama-like models the owner is the whole transformer.
    return owner if not any(isinstance(one, nn.ModuleList) for one in owner.modules()) else words
