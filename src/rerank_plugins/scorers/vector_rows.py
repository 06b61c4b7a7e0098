"""The layout of rows that hold several kinds of vectors. Imports no torch, since the facades use it too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["MultiVectorRow", "TokenRow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiVectorRow:
    """The layout of a row: ``vector, one weight per slot, one vector per slot``; travels as batch options.

    Attributes:
        slots: Tokens a row has place for: at least those of the longest input of the batch.
        sparse: Whether the weights are there.
        colbert: Whether the token vectors are there.
    """

    slots: int
    sparse: bool
    colbert: bool

    def split(
        self, row: npt.NDArray[np.float32], *, dimensions: int, n_tokens: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return the parts of one row: vector (dimensions,), weights (tokens,), token vectors (tokens, width).

        A part that is not there has no elements.
        """
        vector, rest = row[:dimensions], row[dimensions:]
        n_weights = self.slots if self.sparse else 0
        weights, rest = rest[:n_weights], rest[n_weights:]
        return vector, weights[:n_tokens], rest.reshape(self.slots, -1)[:n_tokens]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """The layout of a row of token vectors: ``one vector per slot``; travels as batch options.

    Attributes:
        slots: Tokens a row has place for: at least those of the longest input of the batch.
        dimensions: Numbers of each vector that are kept; None for all.
        normalizes: Whether vectors get length 1.
    """

    slots: int
    dimensions: int | None = None
    normalizes: bool = True

    def split(self, row: npt.NDArray[np.float32], *, n_tokens: int) -> npt.NDArray[np.float32]:
        """Return the vectors of one row. Shape: (tokens, width)."""
        return row.reshape(self.slots, -1)[:n_tokens]
