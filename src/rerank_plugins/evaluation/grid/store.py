"""Files of a work folder, written atomically, so that a killed run can resume."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import write_atomically
from rerank_plugins.types import CallUsage

__all__ = ["ChunkLog", "VectorParts", "can_be_kept"]


def can_be_kept(ranked: object) -> bool:
    """Return whether to store scores: not those of failed calls of a chat model, or of a stage that failed."""
    usage = getattr(ranked, "usage", None)
    if not isinstance(usage, CallUsage):
        return True
    has_failed = usage.chat is not None and usage.chat.failed_calls > 0
    return not has_failed and not any(stage.skipped.startswith("failed") for stage in usage.stages)


class ChunkLog:
    """Results in numbered JSON files, each written once and never changed.

    Args:
        folder: Where the files are; made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, chunk: list[Any]) -> None:
        """Store one chunk of JSON values."""
        number = len(self._files())
        # The second part keeps two processes in one folder from overwriting each other's chunks.
        name = f"{number:06d}-{uuid.uuid4().hex[:8]}.json"
        write_atomically(self._folder / name, json.dumps(chunk).encode())

    def __iter__(self) -> Iterator[Any]:
        """Yield the entries of all chunks, oldest first.

        Raises:
            InvalidInputError: A file was changed by something else.
        """
        for path in self._files():
            try:
                yield from json.loads(path.read_bytes())
            except ValueError as error:
                msg = f"{path} is not what was stored there; remove it, and its part is run again"
                raise InvalidInputError(msg) from error

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*.json")) if self._folder.is_dir() else []


class VectorParts:
    """A matrix stored in parts of equal height.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, number: int) -> npt.NDArray[np.float32] | None:
        """Return a part; None if it is not there.

        Raises:
            InvalidInputError: The file was changed by something else.
        """
        path = self._path(number)
        if not path.is_file():
            return None
        try:
            part: npt.NDArray[np.float32] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            msg = f"{path} is not what was stored there; remove it, and its part is made again"
            raise InvalidInputError(msg) from error
        return part

    def write(self, number: int, rows: npt.NDArray[np.float32]) -> None:
        """Store a part.

        Raises:
            InvalidInputError: The folder cannot be written.
        """
        data = io.BytesIO()
        np.save(data, rows, allow_pickle=False)
        write_atomically(self._path(number), data.getvalue())

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.npy"
