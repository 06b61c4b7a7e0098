"""Dropout of a training, where it shall be another than the model's own."""

from __future__ import annotations

from torch import nn

from rerank_plugins.errors import InvalidInputError

__all__ = ["set_dropout"]

_OF_ADAPTERS = "lora_dropout"
"""PEFT's name for the dropout in front of an adapter, which ``lora_dropout`` sets."""

_MODULES = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def set_dropout(module: nn.Module, probability: float) -> None:
    """Give all dropout of a network one probability; what is saved with the model keeps the checkpoint's own.

    Transformers has it as modules and, where attention is fused or called as a function, as numbers whose names hold
    ``dropout`` (``attention_dropout`` of Llama, ``dropout`` of BART), or ``drop_prob`` (DeBERTa of older versions). An
    adapter's stays as it is.

    Args:
        module: The network.
        probability: Chance that a number is left out in a step; with 0 attention can run fused, and no step draws.

    Raises:
        InvalidInputError: The network has no dropout, and shall have some.
    """
    n_found = 0
    for name, one in module.named_modules():
        if _OF_ADAPTERS in name.split("."):
            continue
        if isinstance(one, _MODULES):
            one.p, n_found = probability, n_found + 1
            continue
        for key, value in vars(one).items():
            # A config.json often says 0 and not 0.0.
            if (
                ("dropout" in key or key == "drop_prob")
                and isinstance(value, (int, float))
                and not isinstance(value, bool)
            ):
                setattr(one, key, probability)
                n_found += 1
    if probability and not n_found:
        msg = f"dropout={probability}, and the model has none that could be set; leave it out"
        raise InvalidInputError(msg)
