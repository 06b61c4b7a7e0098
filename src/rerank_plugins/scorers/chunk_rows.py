"""The layout of rows that hold a vector for each chunk of an input. Imports no torch, since the facades use it too."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rerank_plugins.protocols import TokenInput

__all__ = ["ChunkRow", "ChunkedInput"]


@dataclass(frozen=True, slots=True)
class ChunkRow:
    """The layout of a row: one vector per slot; travels as batch options.

    Attributes:
        slots: Chunks a row has place for: at least those of any input of the batch.
    """

    slots: int

    def split(self, row: npt.NDArray[np.float32], *, n_chunks: int) -> npt.NDArray[np.float32]:
        """Return the vectors of one row. Shape: (chunks, dim)."""
        return row.reshape(self.slots, -1)[:n_chunks]


@dataclass(frozen=True, slots=True, eq=False)
class ChunkedInput(TokenInput):
    """An input whose chunks get a vector each.

    Attributes:
        chunks: Half-open token ranges in the input, none of them empty.
    """

    chunks: tuple[tuple[int, int], ...] = ()

    @property
    def key(self) -> Hashable:
        """What the vectors of an input depend on."""
        return self.ids.tobytes(), self.chunks

    @property
    def cache_key(self) -> Hashable:
        """The same with the ids as a digest."""
        return TokenInput.cache_key.fget(self), self.chunks  # type: ignore[attr-defined]
