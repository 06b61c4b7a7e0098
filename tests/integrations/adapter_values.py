"""Values that nobody should pass, and which of them an option may take: what the fuzz tests of the adapters share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import Enum
from fractions import Fraction
from numbers import Real
from pathlib import Path
from types import GeneratorType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np

__all__ = ["VALUES", "fits", "is_typed"]

VALUES: dict[str, Any] = {
    "None": None,
    "True": True,
    "False": False,
    "0": 0,
    "1": 1,
    "-1": -1,
    "an integer of 64 bits": 2**63,
    "an integer that no float holds": 10**400,
    "0.5": 0.5,
    "2.0": 2.0,
    "-1e308": -1e308,
    "nan": float("nan"),
    "infinity": float("inf"),
    "1j": 1j,
    "a fraction": Fraction(1, 2),
    "an empty text": "",
    "a blank": " ",
    "'False'": "False",
    "'true'": "true",
    "'no'": "no",
    "'3'": "3",
    "' 2 '": " 2 ",
    "'0.5'": "0.5",
    "'1e999'": "1e999",
    "'nan'": "nan",
    "'3 results'": "3 results",
    "'raw'": "raw",
    "Arabic digits": "\u0663",
    "many digits": "9" * 5000,
    "a long name": "x" * 5000,
    "a NUL": "a\0b",
    "a surrogate": "\ud800",
    "an escape": "\x1b[31m",
    "bytes": b"mini",
    "bytes of a digit": b"3",
    "a bytearray": bytearray(b"1"),
    "a list": [],
    "a list of a text": ["x"],
    "a list of numbers": [1, 2],
    "a list in a list": [[1]],
    "a tuple": (),
    "a set": {1},
    "a dict": {},
    "a dict of an option": {"top_k": "x"},
    "a dict with a True": {"top_k": True, "cutoff_layers": True, "query": True, "response": 1},
    "a dict of nonsense": {"nonsense": 1},
    "a dict of a number": {1: 2},
    "a path": Path("nowhere/at all"),
    "a path of a NUL": Path("a\0b"),
    "a class": int,
    "a function": len,
    "a generator": (one for one in ()),
    "an object": object(),
    "an ellipsis": ...,
    "not implemented": NotImplemented,
    "an array": np.zeros(2),
    "an array of one": np.ones(1),
    "a NumPy bool": np.bool_(True),
    "a NumPy integer": np.int64(3),
    "a NumPy float": np.float32(0.5),
    "a NumPy text": np.str_("x"),
    "an exception": ValueError("x"),
}

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?(e\d+)?", re.ASCII)


def is_typed(error: BaseException) -> bool:
    """Whether an error is one that the adapters promise: pydantic's, or one of this package."""
    from pydantic import ValidationError

    from rerank_plugins.errors import RerankPluginsError

    return isinstance(error, (ValidationError, RerankPluginsError))


def fits(hint: Any, value: Any) -> bool:
    """Whether an option of a type may take a value; that it may still refuse it is another matter."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return fits(inner[0], value)
    if origin in (Union, UnionType):
        return any(fits(one, value) for one in inner)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is tuple:
        items = value if isinstance(value, (list, tuple, set, GeneratorType)) else [value]
        return all(fits(inner[0], one) for one in items)
    if hint is None:
        return value is None
    return hint is Any or _is_a(hint, value)


def _is_a(kind: type, value: Any) -> bool:
    if kind is bool:
        return isinstance(value, (bool, np.bool_))
    if kind in (int, float):
        kinds = (int, np.integer) if kind is int else (Real,)
        is_text = isinstance(value, str) and _NUMBER.fullmatch(value.strip()) is not None
        return (isinstance(value, kinds) and not isinstance(value, bool)) or is_text
    if kind is str:
        return isinstance(value, (str, Path))
    if issubclass(kind, Enum):
        return isinstance(value, (kind, str))
    if is_dataclass(kind) and isinstance(value, Mapping):
        return not any(isinstance(one, bool) for one in value.values())
    return isinstance(value, kind)
