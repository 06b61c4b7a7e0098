"""Types and descriptions of the adapters' options: a number may be given as text, a boolean may not.

Needs pydantic, which both frameworks bring.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StrictBool, StrictStr

from rerank_plugins.adapters.descriptions import OPTIONS
from rerank_plugins.adapters.values import as_name, as_number, as_options, as_real
from rerank_plugins.types import LayerOptions, LongDocuments, LongDocumentStrategy, QueryExample

__all__ = [
    "Count",
    "CountOrZero",
    "Example",
    "Flag",
    "LayerNumbers",
    "Layers",
    "Long",
    "Name",
    "Number",
    "Text",
    "option",
]

Flag = StrictBool
Text = StrictStr


def _as_name(value: Any) -> Any:
    return as_name(value) if isinstance(value, (str, Path)) else value


Name = Annotated[StrictStr, BeforeValidator(_as_name)]
"""A model's id or a path, as text."""

Count = Annotated[int, Field(strict=True, ge=1), BeforeValidator(as_number)]
CountOrZero = Annotated[int, Field(strict=True, ge=0), BeforeValidator(as_number)]
Number = Annotated[float, Field(strict=True), BeforeValidator(as_real)]
Long = Annotated[LongDocumentStrategy | LongDocuments, BeforeValidator(partial(as_options, LongDocuments))]
Layers = Annotated[LayerOptions, BeforeValidator(partial(as_options, LayerOptions))]


def _as_tuple(value: Any) -> Any:
    number = as_number(value)
    return (number,) if isinstance(number, int) and not isinstance(number, bool) else value


LayerNumbers = Annotated[
    tuple[Annotated[int, Field(strict=True), BeforeValidator(as_number)], ...], BeforeValidator(_as_tuple)
]
"""Numbers of layers, or a single one."""

Example = Annotated[QueryExample, BeforeValidator(partial(as_options, QueryExample))]


def option(name: str, default: Any, *, frozen: bool = True, **limits: Any) -> Any:
    """Return the field of an option that the core describes.

    Args:
        name: The option's name.
        default: Its value where none is given.
        frozen: Whether it decides how the model is loaded, and is fixed then.
        **limits: Further arguments of ``Field``.
    """
    return Field(default=default, frozen=frozen, description=OPTIONS[name], **limits)
