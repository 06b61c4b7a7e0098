"""Reads tensors of a checkpoint by name, from whichever safetensors file they are in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from rerank_plugins.catalog.file_names import weight_files
from rerank_plugins.errors import UnsupportedModelError

__all__ = ["WeightFiles"]


class WeightFiles:
    """Reads single tensors without keeping any in memory.

    Args:
        folder: The checkpoint.

    Raises:
        UnsupportedModelError: It has no safetensors files, or one cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._file_of: dict[str, Path] = {}
        paths = weight_files(folder)
        try:
            for path in paths:
                with safe_open(str(path), framework="pt") as stored:
                    self._file_of.update(dict.fromkeys(stored.keys(), path))
        except (OSError, SafetensorError) as error:
            msg = f"{str(path)!r} cannot be read ({error}); download it again"
            raise UnsupportedModelError(msg) from error
        if not self._file_of:
            msg = f"{str(folder)!r} has no *.safetensors files, and this model is read from nothing else; convert them"
            raise UnsupportedModelError(msg)

    @property
    def names(self) -> list[str]:
        """Names of all tensors."""
        return list(self._file_of)

    def __contains__(self, name: str) -> bool:
        return name in self._file_of

    def read(self, names: Iterable[str], *, device: torch.device, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Return tensors by name, on a device and in a precision; each file is opened once."""
        found: dict[str, torch.Tensor] = {}
        wanted = list(names)
        for path in sorted({self._file_of[name] for name in wanted}):
            with safe_open(str(path), framework="pt") as stored:
                for name in wanted:
                    if self._file_of[name] == path:
                        found[name] = stored.get_tensor(name).to(device=device, dtype=dtype)
        return found

    def row(self, name: str, index: int) -> torch.Tensor:
        """Return one row of a matrix without reading the others. Shape: (columns,), in the file's precision."""
        with safe_open(str(self._file_of[name]), framework="pt") as stored:
            row: torch.Tensor = stored.get_slice(name)[index : index + 1]
        return row[0]
