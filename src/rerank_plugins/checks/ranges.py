"""Annotated types of options: numbers within a range, and what a model is named by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

__all__ = ["Count", "Fraction", "Milliseconds", "ModelName", "Seconds", "Within"]


@dataclass(frozen=True, slots=True)
class Within:
    """The range of an annotated number: ``Annotated[float, Within(0.0, 1.0)]``. NaN and infinity lie in none.

    Attributes:
        low: The least that can work.
        high: The most; None for no limit.
        is_open: Whether the ends themselves are outside.
    """

    low: float
    high: float | None = None
    is_open: bool = False

    def holds(self, value: float) -> bool:
        """Return whether a number lies in the range."""
        high = math.inf if self.high is None else self.high
        inside = self.low < value < high if self.is_open else self.low <= value <= high
        return inside and math.isfinite(value)

    def of(self, number: str) -> str:
        """Return the words for a number of the range."""
        if self.high is None:
            return f"{number} above {self.low:g}" if self.is_open else f"{number} of {self.low:g} or more"
        first, second = ("between", "and") if self.is_open else ("from", "to")
        return f"{number} {first} {self.low:g} {second} {self.high:g}"


Count = Annotated[int, Within(1)]
"""A positive integer."""

Fraction = Annotated[float, Within(0.0, 1.0, is_open=True)]
"""A number between 0 and 1, both excluded."""

Seconds = Annotated[float, Within(0.0, is_open=True), "a positive number of seconds"]
Milliseconds = Annotated[float, Within(0.0, 3_600_000.0), "0 or more milliseconds, and at most an hour"]

ModelName = Annotated[str | Path, "a hub id, a local folder or 'mini'"]
"""What a model is asked for by."""
