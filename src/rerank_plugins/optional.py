"""Importing what an extra installs, with an error that names the extra."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rerank_plugins.errors import MissingExtraError

__all__ = ["import_extra"]


def import_extra(module: str, *, extra: str) -> Any:
    """Return a module that comes with an optional dependency.

    Args:
        module: Its import name.
        extra: The extra of this package that installs it.

    Raises:
        MissingExtraError: It, or something that it imports, is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        msg = f"{error.name or module!r} is needed and not installed: pip install 'rerank-plugins[{extra}]'"
        raise MissingExtraError(msg) from error
