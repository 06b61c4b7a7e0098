"""Weights as this project stores them in wheels: matrices in 8 or 4 bits, read as float32.

The metadata of ``model.safetensors`` names the format under ``rerank_plugins.quantization``. ``int8-rows``: a matrix
``NAME`` is int8, and ``NAME.scale`` (rows,) holds one float32 per row; value = int8 * scale. ``q4-blocks``: ``NAME`` is
uint8 (rows, columns / 2) and ``NAME.scale`` float16 (rows, columns / 32); 16 bytes hold a block of 32 values, byte j
the values j (low half) and j + 16 (high half); value = (half - 8) * scale, the Q4_0 of llama.cpp. Other tensors are
plain.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open

from rerank_plugins.checks.boundary import checkpoint_errors

__all__ = ["has_own_rows", "read_rows"]

_FORMATS = ("int8-rows", "q4-blocks")
_QUANTIZATION_KEY = "rerank_plugins.quantization"
_BYTES_A_BLOCK = 16


def has_own_rows(folder: Path) -> bool:
    """Return whether ``model.safetensors`` is stored in one of the formats of this module."""
    path = folder / "model.safetensors"
    if not path.is_file():
        return False
    with checkpoint_errors(f"read {str(path)!r}"), safe_open(str(path), framework="pt") as stored:
        return (stored.metadata() or {}).get(_QUANTIZATION_KEY) in _FORMATS


def read_rows(path: Path) -> dict[str, torch.Tensor]:
    """Return the float32 weights of a file, those in 8 or 4 bits included."""
    weights: dict[str, torch.Tensor] = {}
    with safe_open(str(path), framework="pt") as stored:
        names = set(stored.keys())
        for name in sorted(names):
            if name.endswith(".scale") and name.removesuffix(".scale") in names:
                continue
            tensor = stored.get_tensor(name)
            if tensor.dtype == torch.int8:
                scale = stored.get_tensor(f"{name}.scale").float()
                tensor = tensor.float() * scale.reshape(-1, *([1] * (tensor.dim() - 1)))
            elif tensor.dtype == torch.uint8:
                tensor = _from_blocks(tensor, stored.get_tensor(f"{name}.scale"))
            weights[name] = tensor.float()
    return weights


def _from_blocks(packed: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return the values, (rows, columns), of (rows, columns / 2) bytes and (rows, columns / 32) scales."""
    halves = packed.reshape(*scale.shape, _BYTES_A_BLOCK)
    values = torch.cat([halves & 15, halves >> 4], dim=2).float() - 8
    return (values * scale.float().unsqueeze(2)).flatten(1)
