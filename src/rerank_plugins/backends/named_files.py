"""What the files behind a model's name are known by: one that was trained or written again is another model."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

from rerank_plugins.backends.named import paths_of
from rerank_plugins.catalog.checkpoint import files_known_by
from rerank_plugins.catalog.spec import ModelKind

__all__ = ["files_key", "named_files"]


def named_files(model: str | Path, *, kind: ModelKind) -> tuple[tuple[str, int, int], ...]:
    """Return name, size and time of each file that a model of this name is made of; none if they are not known here.

    The files of a folder are named from there, others by their whole path.

    Raises:
        InvalidInputError: It is composed, and its text or file cannot be read.
    """
    return tuple(one for path in dict.fromkeys(paths_of(model, kind=kind)) for one in _of_path(path))


def files_key(model: str | Path, *, kind: ModelKind) -> tuple[Hashable, ...]:
    """Return which files a name means now: in another working directory, or once they have changed, it means others.

    Raises:
        InvalidInputError: As of :func:`named_files`.
    """
    return tuple((str(path), *_of_path(path)) for path in paths_of(model, kind=kind))


def _of_path(path: Path) -> tuple[tuple[str, int, int], ...]:
    if path.is_dir():
        return files_known_by(path, (one for one in path.iterdir() if one.is_dir()))
    # What is not there is told by who opens it.
    return ((str(path), path.stat().st_size, path.stat().st_mtime_ns),) if path.is_file() else ()
