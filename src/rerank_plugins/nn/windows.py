"""Sets sliding attention windows to another width for a trial, so that a short text shows whether they are respected.

Published windows are 64 to 32,768 tokens wide: a text that is longer would take minutes to try on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["NARROW", "WIDE", "WINDOW_TRIAL_LENGTHS", "has_local_layers", "window_names", "windows_of"]

NARROW, WIDE = 4, 1_000
"""Tokens of a window while it is tried, and of one that hides nothing then; to one side where it has two."""

WINDOW_TRIAL_LENGTHS = (24, 13, 13)
"""All longer than the window."""

_LOCAL = ("window", "chunk", "local_attention")
_NOT_TOKENS = ("use_", "max_window_layers", "_pattern", "feed_forward", "_every", "num_")


def window_names(config: Any) -> list[str]:
    """Return the names of a configuration's settings that limit how many tokens attention sees."""
    positions = getattr(config, "max_position_embeddings", None) or float("inf")
    return [
        name
        for name, value in config.to_dict().items()
        if any(part in name for part in _LOCAL)
        and not any(part in name for part in _NOT_TOKENS)
        and isinstance(value, int)
        and not isinstance(value, bool)
        and 1 < value < positions
    ]


def has_local_layers(config: Any) -> bool:
    """Return whether some layer sees a part of a text only, as far as the configuration says; True if it does not."""
    kinds = getattr(config, "layer_types", None)
    return not kinds or any("full" not in str(kind) for kind in kinds)


@contextmanager
def windows_of(model: Any, tokens: int) -> Iterator[None]:
    """Set all sliding windows of a transformers model to so many tokens, and restore them at the end."""
    config = model.config
    names = window_names(config)
    before = {name: getattr(config, name) for name in names}
    # ModernBERT's modules hold one more than a property of its configuration, which is half of the setting.
    held = [
        (module, name, value, getattr(config, name))
        for module in model.modules()
        for name in {*names, "sliding_window"}
        if isinstance(value := vars(module).get(name), int) and isinstance(getattr(config, name, None), int)
    ]
    try:
        for name in names:
            setattr(config, name, 2 * tokens if name == "local_attention" else tokens)
        for module, name, value, of_config in held:
            setattr(module, name, value - of_config + getattr(config, name))
        yield
    finally:
        for name, number in before.items():
            setattr(config, name, number)
        for module, name, value, _ in held:
            setattr(module, name, value)
