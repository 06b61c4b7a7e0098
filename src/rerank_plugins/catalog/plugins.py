"""Entry points of other packages. A broken one is skipped with a warning that names it, and affects nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import TypeVar

from rerank_plugins.catalog.spec import ModelKind

__all__ = ["BACKEND_GROUPS", "BrokenPlugin", "broken_plugins", "note_broken", "plugins_of"]

_T = TypeVar("_T")

BACKEND_GROUPS: Mapping[ModelKind, str] = MappingProxyType(
    {"reranker": "rerank_plugins.rerankers", "embedder": "rerank_plugins.embedders"}
)
"""Groups of entry points of backends: the name is the part before the colon, the value a function that opens one."""


@dataclass(frozen=True, slots=True)
class BrokenPlugin:
    """An entry point that could not be used.

    Attributes:
        origin: Its group, name, value and distribution.
        error: What went wrong, in one line.
    """

    origin: str
    error: str


_BROKEN: dict[str, BrokenPlugin] = {}


def broken_plugins() -> tuple[BrokenPlugin, ...]:
    """Return what was skipped so far in this process."""
    return tuple(_BROKEN.values())


def plugins_of(group: str, use: Callable[[EntryPoint], _T], *, name: str | None = None) -> list[_T]:
    """Return what ``use`` makes of every entry point of a group; what raises is skipped, with one warning.

    Args:
        group: The entry points' group.
        use: Loads an entry point and checks what it gives.
        name: Only entry points of this name; None takes all.
    """
    made = []
    for point in entry_points(group=group):
        if name is not None and point.name != name:
            continue
        try:
            made.append(use(point))
        except KeyboardInterrupt:
            raise
        # Code of others runs here: also SystemExit and what native code raises must not end everybody's program.
        except BaseException as error:  # noqa: BLE001
            note_broken(point, error)
    return made


def note_broken(point: EntryPoint, error: BaseException) -> None:
    """Remember an entry point that cannot be used, and warn the first time."""
    package = f", package {point.dist.name}" if point.dist is not None else ""
    origin = f"{point.group}: {point.name} = {point.value}{package}"
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    if origin not in _BROKEN:
        _BROKEN[origin] = BrokenPlugin(origin, reason)
        warnings.warn(f"skipped a broken entry point ({origin}): {reason}", RuntimeWarning, stacklevel=3)
