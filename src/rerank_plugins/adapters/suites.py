"""The conformance suites have moved to a distribution of their own: the old modules still give them, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rerank_plugins.errors import MissingExtraError

__all__ = ["moved_suites"]

_IMPORTER = 4  # The frames between are those of this file, of contextlib and of the old module.


@contextmanager
def moved_suites(old: str, new: str, *, package: str) -> Iterator[None]:
    """Import the names of conformance suites in this block, from the distribution that has them now.

    Args:
        old: The module that the caller imported.
        new: The module that the block imports.
        package: What installs it.

    Raises:
        MissingExtraError: It, or something that it imports, is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        msg = f'the conformance suites need {error.name!r}, which is not installed: pip install "{package}"'
        raise MissingExtraError(msg) from error
    warnings.warn(f"{old} is {new} now, and goes in a later version", DeprecationWarning, stacklevel=_IMPORTER)
