"""What the fields of a training record must be."""

from __future__ import annotations

from typing import Literal

from rerank_plugins.errors import InvalidInputError

__all__ = [
    "Fault",
    "RecordError",
    "check_beside",
    "check_scores",
    "check_text",
    "check_texts",
    "is_finite",
    "shown_value",
]

Fault = Literal["not_json", "malformed", "misspelt_key", "score_count", "score_not_finite", "id_count", "scattered"]
"""What can be wrong with a row in itself."""

_SHOWN = 60
_LARGEST = 3.4028234663852886e38
"""Of float32."""


class RecordError(InvalidInputError):
    """A row is no training record.

    Attributes:
        fault: What is wrong, in one word.
    """

    def __init__(self, message: str, *, fault: Fault = "malformed") -> None:
        super().__init__(message)
        self.fault: Fault = fault

    def at(self, where: str) -> RecordError:
        """Return the same error with the place in front of it."""
        return RecordError(f"{where}: {self}", fault=self.fault)


def check_text(name: str, value: object) -> None:
    """Refuse what is no text."""
    if not isinstance(value, str):
        msg = f"{name!r} must be a text, got {shown_value(value)}"
        raise RecordError(msg)


def check_texts(name: str, value: object) -> None:
    """Refuse what is no tuple of texts."""
    for position, one in enumerate(_tuple(name, value)):
        if not isinstance(one, str):
            msg = f"{name}[{position}] must be a text, got {shown_value(one)}"
            raise RecordError(msg)


def check_scores(name: str, value: object) -> None:
    """Refuse what is no tuple of numbers that are finite in float32."""
    for position, one in enumerate(_tuple(name, value)):
        if isinstance(one, bool) or not isinstance(one, (int, float)):
            msg = f"{name}[{position}] must be a number, got {shown_value(one)}"
            raise RecordError(msg)
        if not is_finite(one):
            msg = f"{name}[{position}] is {shown_value(one)}; take the row out, or score it again"
            raise RecordError(msg, fault="score_not_finite")


def is_finite(number: float) -> bool:
    """Return whether a number is finite in float32, in which losses are computed."""
    return abs(number) <= _LARGEST


def _tuple(name: str, value: object) -> tuple[object, ...]:
    if not isinstance(value, tuple):
        # A text would be read letter by letter.
        msg = f"{name!r} must be a list, got {shown_value(value)}"
        raise RecordError(msg)
    return value


def check_beside(
    name: str, texts: tuple[str, ...], scores: tuple[float, ...] | None, ids: tuple[str, ...] | None
) -> None:
    """Refuse scores or ids of texts that are more or fewer than those."""
    if scores is not None and len(scores) != len(texts):
        msg = f"'{name}_scores' has {len(scores)} scores for {len(texts)} texts in {name!r}"
        raise RecordError(msg, fault="score_count")
    if ids is not None and len(ids) != len(texts):
        msg = f"'{name}_ids' has {len(ids)} ids for {len(texts)} texts in {name!r}"
        raise RecordError(msg, fault="id_count")


def shown_value(value: object) -> str:
    """Return the beginning of a value, for an error."""
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."
