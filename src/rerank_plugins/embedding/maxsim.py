"""MaxSim: the best inner product of each query vector with a vector of the document, in float32, summed.

Reference: ColBERT (Khattab and Zaharia 2020, arXiv 2004.12832), equation 3. A document's score depends on nothing but
its own vectors and the query's: nothing is padded, so no zero vector can be anybody's best match.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["NO_VECTORS", "best_matches", "joined_vectors", "maxsim"]

_Rows = npt.NDArray[np.float32]

NO_VECTORS = -1.0
"""The best match of a query vector in a document without vectors: the lowest cosine there is."""


def joined_vectors(documents: Sequence[_Rows], *, width: int) -> tuple[_Rows, npt.NDArray[np.int64]]:
    """Return the vectors of all documents one after the other, and how many each has.

    Args:
        documents: Shape of each: (tokens, width).
        width: Length of a vector.

    Returns:
        Shapes: (tokens of all, width) and (documents,).
    """
    lengths = np.array([len(one) for one in documents], dtype=np.int64)
    joined = np.concatenate(documents) if len(documents) else np.zeros((0, width), dtype=np.float32)
    return joined, lengths


def maxsim(
    query: _Rows,
    vectors: _Rows,
    lengths: npt.NDArray[np.int64],
    *,
    is_mean: bool,
    products_with: Callable[[_Rows, _Rows], _Rows] | None = None,
) -> npt.NDArray[np.float64]:
    """Return the score of each document by one matrix product over all of them.

    Args:
        query: Shape: (query vectors, width).
        vectors: Those of all documents, one after the other. Shape: (tokens of all, width).
        lengths: Vectors of each document. Shape: (documents,).
        is_mean: Whether a score is the mean over the query's vectors, not their sum.
        products_with: Gives the inner products of a query's vectors with others, shape (query vectors, vectors); None
            takes NumPy's.

    Returns:
        Shape: (documents,), float64; sums are made in that precision.
    """
    best = np.full((len(lengths), len(query)), NO_VECTORS, dtype=np.float32)
    filled = np.flatnonzero(lengths)
    if len(filled) and len(query):
        # A row for each query vector: the best of a range there takes a quarter of the time.
        products = query @ vectors.T if products_with is None else products_with(query, vectors)
        starts = np.cumsum(lengths) - lengths
        best[filled] = np.maximum.reduceat(products, starts[filled], axis=1).T
    sums: npt.NDArray[np.float64] = best.sum(axis=1, dtype=np.float64)
    return sums / max(len(query), 1) if is_mean else sums


def best_matches(query: _Rows, document: _Rows) -> tuple[npt.NDArray[np.int64], _Rows]:
    """Return which vector of a document answers each vector of a query, the first of equal ones, and how well.

    Args:
        query: Shape: (query vectors, width).
        document: At least one vector. Shape: (tokens, width).

    Returns:
        Places and products. Shape of each: (query vectors,).
    """
    products = document @ query.T
    places: npt.NDArray[np.int64] = products.argmax(axis=0)
    best: _Rows = products[places, np.arange(len(query))]
    return places, best
