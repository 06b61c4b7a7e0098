"""Tensors of safetensors files as NumPy arrays, floating-point ones in float32: for what runs without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from rerank_plugins.checks.boundary import checkpoint_errors

__all__ = ["Arrays", "read_file"]

Arrays = dict[str, npt.NDArray[Any]]

_BFLOAT16 = "BF16"


def read_file(path: Path) -> Arrays:
    """Return the tensors of a file by name.

    Raises:
        UnsupportedModelError: It cannot be read.
    """
    found: Arrays = {}
    with checkpoint_errors(f"read {str(path)!r}"), safe_open(str(path), framework="np") as stored:
        for name in stored.keys():  # noqa: SIM118 - it has no iterator
            # NumPy has no bfloat16.
            is_bfloat16 = stored.get_slice(name).get_dtype() == _BFLOAT16
            array = _bfloat16(path, name) if is_bfloat16 else stored.get_tensor(name)
            found[name] = array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array
    return found


def _bfloat16(path: Path, name: str) -> npt.NDArray[np.float32]:
    """Return a bfloat16 tensor: the upper halves of float32 numbers."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry = json.loads(file.read(length))[name]
        start, end = entry["data_offsets"]
        file.seek(8 + length + start)
        halves = np.frombuffer(file.read(end - start), dtype="<u2")
    whole: npt.NDArray[np.float32] = (halves.astype(np.uint32) << 16).view(np.float32)
    return whole.reshape(tuple(map(int, entry["shape"])))
