"""pytest, for the test suites that adapters ship; without it, the error says what to install.

An import of its own, and not :func:`rerank_plugins.checks.optional.import_extra`, so that type checkers see pytest's
types.
"""

from __future__ import annotations

from rerank_plugins.errors import MissingExtraError

try:
    import pytest
except ModuleNotFoundError as error:
    msg = f"{error.name or 'pytest'!r} is needed by the shipped test suites and not installed: pip install pytest"
    raise MissingExtraError(msg) from error

__all__ = ["pytest"]
