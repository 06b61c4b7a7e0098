"""What a mutant is."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Mutant"]


class Mutant(NamedTuple):
    """One fault.

    Attributes:
        name: Part of the core and what is wrong in it.
        snippet: What stands in one place of ``src``.
        replacement: What stands there in the mutant.
        tests: Names of the test files that must see it.
    """

    name: str
    snippet: str
    replacement: str
    tests: tuple[str, ...]
