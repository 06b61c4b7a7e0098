"""How the value of an option is read: numbers that come as text, names, and options that were stored as mappings."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import fields
from numbers import Real
from pathlib import Path
from typing import Any

from rerank_plugins.errors import InvalidInputError

__all__ = ["as_name", "as_number", "as_options", "as_real"]

_LONGEST_PART_BYTES, _LONGEST_NAME_BYTES, _SHOWN_CHARACTERS = 255, 4_096, 60
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,3})?", re.ASCII | re.IGNORECASE)


def as_name(value: str | Path) -> str:
    """Return a model's id or a path as text, or raise InvalidInputError if no file can have that name."""
    text = str(value)
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        encoded = b""
    too_long = len(encoded) > _LONGEST_NAME_BYTES or max(map(len, encoded.split(b"/"))) > _LONGEST_PART_BYTES
    if too_long or not encoded.strip() or b"\0" in encoded:
        msg = f"must be a name or a path that a file can have, got {text[:_SHOWN_CHARACTERS]!r}"
        raise InvalidInputError(msg)
    return text


def as_number(value: Any) -> Any:
    """Return the number that a text holds, and anything else as it is, for the framework to check.

    Environment variables and templates hold texts: ``top_n="3"`` means 3. ``"True"`` and ``"3 documents"`` are no
    numbers.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else value


def as_real(value: Any) -> Any:
    """Return a real number, or the text of one, as a float; None as it is.

    Raises:
        InvalidInputError: It is anything else, a bool or an array of one number included, or no float holds it.
    """
    number = as_number(value)
    if number is None:
        return None
    try:
        if isinstance(number, Real) and not isinstance(number, bool) and math.isfinite(number):
            return float(number)
    except OverflowError:
        pass
    msg = f"must be a finite number, got {value if isinstance(value, float) else type(value).__name__}"
    raise InvalidInputError(msg)


def as_options(owner: type[Any], value: Any) -> Any:
    """Return the dataclass that a mapping stores, and anything else as it is, for the framework to check.

    Raises:
        InvalidInputError: The mapping has other names than the dataclass.
    """
    if not isinstance(value, Mapping):
        return value
    names = [field.name for field in fields(owner)]
    unknown = [name for name in value if name not in names]
    if unknown:
        msg = f"{owner.__name__} has no option {unknown[0]!r}. Its options: {', '.join(names)}"
        raise InvalidInputError(msg)
    try:
        # What was stored as JSON has lists for tuples.
        return owner(**{name: tuple(one) if isinstance(one, list) else one for name, one in value.items()})
    except TypeError as error:
        msg = f"{owner.__name__} cannot be made of {sorted(value)}: {error}"
        raise InvalidInputError(msg) from error
