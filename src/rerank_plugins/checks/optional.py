"""Importing what an extra installs, with an error that names the extra; and names whose module may need one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from rerank_plugins.errors import MissingExtraError

__all__ = ["import_extra", "imported_on_use", "needs_torch"]

_ROOT = "rerank_plugins"

_OF_TORCH = ("torch", "transformers")


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
        raise _missing(error, module, extra) from error


@contextmanager
def needs_torch() -> Iterator[None]:
    """Import what runs models on this machine in this block.

    Raises:
        MissingExtraError: torch or transformers is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in _OF_TORCH:
            raise
        raise _missing(error, error.name, "torch") from error


def imported_on_use(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a package (PEP 562) that imports a name's module when the name is first used.

    Args:
        package: Its ``__name__``.
        homes: Name to the module that defines it, relative to the root of this distribution.

    Returns:
        A function that raises AttributeError for a name that is not in ``homes``, and MissingExtraError for one
        whose module needs torch where there is none.
    """

    def find(name: str) -> object:
        if name not in homes:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        with needs_torch():
            return getattr(import_module(f"{_ROOT}.{homes[name]}"), name)

    return find


def _missing(error: ModuleNotFoundError, module: str, extra: str) -> MissingExtraError:
    # What needs torch needs that extra, whichever asked.
    extra = "torch" if error.name in _OF_TORCH else extra
    needed = error.name or module
    return MissingExtraError(f'{needed!r} is needed and not installed: pip install "rerank-plugins[{extra}]"')
