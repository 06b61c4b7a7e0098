"""The last step of every vector: it is cut, normalised, and never the zero vector."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["SHORTEST", "finished_rows", "neutral_vector"]

_Rows = npt.NDArray[np.float32]

SHORTEST = 1e-12
"""A vector of this length or less has no direction: dividing by its length would make noise, or NaN, of it."""


def neutral_vector(dimensions: int) -> _Rows:
    """Return the vector of a text without any known token: ``(1, -1, 1, -1, ...) / sqrt(dimensions)``.

    Its length is 1, so that a vector store which divides by the length does not get NaN. Its signs alternate, so that
    its cosine with the vector of any text is near 0, as with an unrelated text.

    Returns:
        Shape: (dimensions,), float32.
    """
    vector = np.full(dimensions, 1 / np.sqrt(max(dimensions, 1)), dtype=np.float32)
    vector[1::2] *= -1
    return vector


def finished_rows(rows: _Rows, *, normalize: bool, dimensions: int | None = None) -> _Rows:
    """Return the vectors for the caller; a zero vector becomes :func:`neutral_vector`, normalised or not.

    Args:
        rows: Finite. Shape: (n, dim).
        normalize: Scale to length 1.
        dimensions: Keep so many numbers of each row; None keeps all.

    Returns:
        Shape: (n, dimensions), float32.
    """
    kept = rows[:, :dimensions]
    # In float64: squares of 1e20, or of 1e-23, leave the range of float32.
    lengths = np.linalg.norm(kept.astype(np.float64), axis=1, keepdims=True)
    is_empty = lengths[:, 0] <= SHORTEST
    finished = (kept / np.maximum(lengths, SHORTEST)).astype(np.float32) if normalize else kept
    if is_empty.any():
        finished = finished.copy()
        finished[is_empty] = neutral_vector(kept.shape[1])
    return finished
