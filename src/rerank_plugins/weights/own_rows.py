"""Weights as this project stores them in wheels: matrices in 8 or 4 bits, read as float32.

The metadata of ``model.safetensors`` names the format under ``rerank_plugins.quantization``. ``int8-rows``: a matrix
``NAME`` is int8, and ``NAME.scale`` (rows,) holds one float32 per row; value = int8 * scale. Under an architecture's
usual name a matrix has the shape (rows, 1, columns), which other libraries refuse: they would take its whole numbers
for weights. ``q4-blocks``: ``NAME`` is
uint8 (rows, columns / 2) and ``NAME.scale`` float16 (rows, columns / 32); 16 bytes hold a block of 32 values, byte j
the values j (low half) and j + 16 (high half); value = (half - 8) * scale, the Q4_0 of llama.cpp. One file may have
matrices of both kinds. Other tensors are plain.

``rerank_plugins.base`` names a folder beside this one, whose ``model.safetensors`` this file builds on: a tensor that
both have is a difference that is added to the base's, one that only the base has is the base's, and others are whole.
So a model that was trained from another one of its package needs neither its embeddings nor its lower layers again;
and a difference is small, so that few bits hold it more exactly than they would the weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open

from rerank_plugins.catalog.weight_headers import BASE_KEY
from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.weights.arrays import Arrays, read_file

if TYPE_CHECKING:
    import torch

__all__ = [
    "base_folder",
    "has_own_rows",
    "int8_rows",
    "read_row_arrays",
    "read_rows",
    "row_metadata",
    "with_refused_shapes",
]

_FORMATS = ("int8-rows", "q4-blocks")
_FILE = "model.safetensors"
_QUANTIZATION_KEY = "rerank_plugins.quantization"
_BYTES_A_BLOCK = 16
_AXES = 2
_LARGEST, _TINY = 127.0, 1e-12
_LEAST_ROWS = 16
"""Matrices of fewer rows (a classifier's last, token types) are small, and every score depends on them."""


def has_own_rows(folder: Path) -> bool:
    """Return whether ``model.safetensors`` is stored in one of the formats of this module."""
    return _metadata(folder).get(_QUANTIZATION_KEY) in _FORMATS


def base_folder(folder: Path) -> Path | None:
    """Return the folder that a folder's weights build on; None if they are whole.

    Raises:
        UnsupportedModelError: It is not there, is no whole model, or is named as no folder beside this one.
    """
    name = _metadata(folder).get(BASE_KEY)
    if name is None:
        return None
    base = folder.parent / name
    # No way out of the package that both came in.
    is_there = name not in ("", ".", "..") and name == Path(name).name and (base / _FILE).is_file()
    if is_there and (name == folder.name or BASE_KEY in _metadata(base)):
        msg = f"{str(folder / _FILE)!r} builds on {name!r}, which is itself no whole model; copy it with its package"
        raise UnsupportedModelError(msg)
    if not is_there:
        msg = (
            f"{str(folder / _FILE)!r} holds differences to the weights of {name!r}, a folder beside it that is not "
            "there. Copy both folders, or save the model whole: train it, or copy it with its package."
        )
        raise UnsupportedModelError(msg)
    return base


def _metadata(folder: Path) -> dict[str, str]:
    path = folder / _FILE
    if not path.is_file():
        return {}
    with checkpoint_errors(f"read {str(path)!r}"), safe_open(str(path), framework="np") as stored:
        return dict(stored.metadata() or {})


def read_rows(path: Path) -> dict[str, torch.Tensor]:
    """Return what :func:`read_row_arrays` returns, as tensors."""
    import torch

    return {name: torch.from_numpy(array) for name, array in read_row_arrays(path).items()}


def read_row_arrays(path: Path) -> Arrays:
    """Return the float32 weights of a file, those in 8 or 4 bits and those of its base included.

    Raises:
        UnsupportedModelError: Its base is not there, or has other shapes; or a scale does not fit its matrix.
    """
    weights = _stored(path)
    base = base_folder(path.parent)
    if base is None:
        return weights
    whole = _stored(base / _FILE)
    for name, value in weights.items():
        if name in whole and whole[name].shape != value.shape:
            msg = f"{name!r} in {str(path)!r} does not fit {str(base)!r}, which it builds on; install both together"
            raise UnsupportedModelError(msg)
        whole[name] = whole[name] + value if name in whole else value
    return whole


def int8_rows(weights: Arrays) -> Arrays:
    """Return weights as ``int8-rows`` stores them: float matrices in int8, each with the scale of its rows.

    A row's largest number becomes 127 or -127, so that a row which is read back and rounded again (``dtype="int8"``)
    has the same whole numbers.

    Args:
        weights: Tensors by name. What is no matrix of floats with 16 rows or more stays as it is, and so does one with
            numbers that are not finite.
    """
    stored: Arrays = {}
    for name, array in weights.items():
        is_large = array.ndim == 2 and len(array) >= _LEAST_ROWS and array.size > 0
        if not is_large or array.dtype.kind != "f" or not np.isfinite(array).all():
            stored[name] = array
            continue
        scale = np.maximum(np.abs(array).max(axis=1), _TINY).astype(np.float32) / np.float32(_LARGEST)
        stored[name] = np.rint(array.astype(np.float32) / scale[:, np.newaxis]).astype(np.int8)
        stored[f"{name}.scale"] = scale
    return stored


def with_refused_shapes(rows: Arrays) -> Arrays:
    """Return what :func:`int8_rows` returned in shapes that no other library takes for those of the weights."""
    return {
        name: one[:, np.newaxis] if one.dtype == np.int8 and one.ndim == _AXES else one for name, one in rows.items()
    }


def row_metadata() -> dict[str, str]:
    """Return the metadata of a file that holds what :func:`int8_rows` returns."""
    return {"format": "pt", _QUANTIZATION_KEY: _FORMATS[0]}


def _stored(path: Path) -> Arrays:
    """Return the values of a file's tensors, in float32."""
    stored = read_file(path)
    weights: Arrays = {}
    for name in sorted(stored):
        array, scale = stored[name], stored.get(f"{name}.scale")
        if name.endswith(".scale") and name.removesuffix(".scale") in stored:
            continue
        if array.dtype.kind != "f" and (scale is not None or array.dtype in (np.int8, np.uint8)):
            array = _expanded(array, scale, name=f"{name!r} in {str(path)!r}")
        weights[name] = array.astype(np.float32, copy=False)
    return weights


def _expanded(array: npt.NDArray[Any], scale: npt.NDArray[Any] | None, *, name: str) -> npt.NDArray[np.float32]:
    """Return the values of a matrix in 8 or 4 bits.

    Raises:
        UnsupportedModelError: Its scale is not there or of another shape, which NumPy might stretch; or it is no such
            matrix.
    """
    shape: tuple[int, ...] | None = None
    if array.dtype == np.int8 and array.ndim == _AXES + 1 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype == np.int8 and array.ndim > 0:
        shape = array.shape[:1]
    elif array.dtype == np.uint8 and array.ndim == _AXES:
        shape = (array.shape[0], array.shape[1] // _BYTES_A_BLOCK)
    if shape is None or scale is None or scale.dtype.kind != "f" or scale.shape != shape:
        found = "none" if scale is None else f"one of {scale.dtype} with the shape {scale.shape}"
        wanted = f"floats with the shape {shape}" if shape else "none"
        msg = (
            f"could not load {name}: it is {array.dtype} with the shape {array.shape} and needs a scale: {wanted}; it "
            f"has {found}. The file is damaged, or of a version that is not read here; download it again, or write it "
            "again"
        )
        raise UnsupportedModelError(msg)
    if array.dtype == np.uint8:
        return _from_blocks(array, scale)
    values: npt.NDArray[np.float32] = array.astype(np.float32) * scale.reshape(-1, *([1] * (array.ndim - 1)))
    return values


def _from_blocks(packed: npt.NDArray[np.uint8], scale: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the values, (rows, columns), of (rows, columns / 2) bytes and (rows, columns / 32) scales."""
    halves = packed.reshape(*scale.shape, _BYTES_A_BLOCK)
    values = np.concatenate([halves & 15, halves >> 4], axis=2).astype(np.float32) - 8
    scaled: npt.NDArray[np.float32] = values * scale[:, :, np.newaxis].astype(np.float32)
    return scaled.reshape(len(packed), -1)
