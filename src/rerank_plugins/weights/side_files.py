"""Reads small tensor files beside a model's weights: safetensors, or a pickle if the caller allows it."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from rerank_plugins.errors import UnsafeModelError, UnsupportedModelError

__all__ = ["read_side_file"]


def read_side_file(safe: Path, pickled: Path, *, allow_pickle: bool) -> dict[str, torch.Tensor]:
    """Return the tensors of a file in either of its two formats, float32, on the CPU.

    The pickle is read with ``weights_only=True``.

    Args:
        safe: Where the safetensors file would be; it is preferred.
        pickled: Where the pickle would be.
        allow_pickle: Whether that one may be read.

    Raises:
        UnsafeModelError: Only the pickle is there, and it was not allowed.
        UnsupportedModelError: Neither is there, or it cannot be read.
    """
    if not safe.is_file() and not pickled.is_file():
        msg = f"neither {safe.name} nor {pickled.name} is in {str(safe.parent)!r}; is the download complete?"
        raise UnsupportedModelError(msg)
    if not safe.is_file() and not allow_pickle:
        msg = (
            f"{str(pickled)!r} is a pickle, and unpickling can run code. Pass allow_pickle=True if you trust its "
            f"source, or convert it once: safetensors.torch.save_file(torch.load({pickled.name!r}, map_location='cpu', "
            f"weights_only=True), {safe.name!r})"
        )
        raise UnsafeModelError(msg)
    try:
        is_safe = safe.is_file()
        tensors = load_file(str(safe)) if is_safe else torch.load(pickled, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, SafetensorError, UnpicklingError) as error:
        path = safe if safe.is_file() else pickled
        msg = f"{str(path)!r} cannot be read ({type(error).__name__}: {error}); download it again"
        raise UnsupportedModelError(msg) from error
    return {name: tensor.float() for name, tensor in tensors.items()}
