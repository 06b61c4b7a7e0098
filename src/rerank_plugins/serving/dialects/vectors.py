"""How vectors are written: numbers, base64, integers, bits."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FORMATS", "written"]

_Vectors = npt.NDArray[np.float32]
_LARGEST = 127.0


def written(vectors: _Vectors, form: str) -> list[Any] | npt.NDArray[Any]:
    """Return vectors in a form.

    Args:
        vectors: Shape: (texts, dimensions), float32.
        form: One of :data:`FORMATS`, or one of integers with ``_base64`` behind it: their bytes as a text.

    Returns:
        One member a text: a list of numbers, or a text.
    """
    kind = form.removesuffix("_base64")
    made: list[Any] | npt.NDArray[Any] = FORMATS[kind](vectors)
    return made if kind == form else _encoded(made)


def _base64(vectors: _Vectors) -> list[str]:
    return _encoded(vectors.astype("<f4"))


def _encoded(rows: Any) -> list[str]:
    return [base64.b64encode(row.tobytes()).decode("ascii") for row in rows]


def _int8(vectors: _Vectors) -> npt.NDArray[np.int8]:
    """Scale each vector by its largest number; cosines of such vectors are those of the floats up to rounding."""
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0.0)
    return np.rint(vectors * (_LARGEST / np.where(largest > 0, largest, 1.0))).astype(np.int8)


def _uint8(vectors: _Vectors) -> npt.NDArray[np.uint8]:
    return (_int8(vectors).astype(np.int16) + 128).astype(np.uint8)


def _ubinary(vectors: _Vectors) -> npt.NDArray[np.uint8]:
    return np.packbits(vectors > 0, axis=1)


def _binary(vectors: _Vectors) -> npt.NDArray[np.int8]:
    return (_ubinary(vectors).astype(np.int16) - 128).astype(np.int8)


def _floats(vectors: _Vectors) -> _Vectors:
    return np.ascontiguousarray(vectors)


FORMATS: Mapping[str, Callable[[_Vectors], Any]] = MappingProxyType(
    {
        "float": _floats,
        "base64": _base64,
        "int8": _int8,
        "uint8": _uint8,
        "binary": _binary,
        "ubinary": _ubinary,
    }
)
"""``binary`` holds the signs of eight numbers in each of its own, from -128 on; ``ubinary`` the same from 0 on."""
