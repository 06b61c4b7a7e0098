"""Vectors of several kinds, and the scores between them.

Reference: FlagEmbedding 1.3.5 ``M3Embedder`` (``inference/embedder/encoder_only/m3.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["PairScores", "TextVectors", "colbert_score", "dense_score", "lexical_score"]

_Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TextVectors:
    """The outputs of a model with several kinds of vectors, in the order of the texts; None for those not requested.

    Attributes:
        dense: One vector per text. Shape: (n, dim), float32.
        sparse: For each text, token id to weight: its highest at any place, above 0, special tokens left out.
        colbert: For each text, one vector per token: of all but the first special token. Shape of each:
            (tokens - 1, width), float32.
    """

    dense: _Array | None = None
    sparse: tuple[Mapping[int, float], ...] | None = None
    colbert: tuple[_Array, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairScores:
    """The scores of a document for a query, by each kind of vector and by weighted means of them.

    Attributes:
        dense: Inner product of the two vectors.
        sparse: Sum over shared tokens of the product of their weights.
        colbert: Mean over the query's tokens of the best inner product with a token of the document.
        sparse_dense: Weighted mean of two.
        combined: Weighted mean of all three.
    """

    dense: float
    sparse: float
    colbert: float
    sparse_dense: float
    combined: float

    @classmethod
    def weighted(
        cls, *, dense: float, sparse: float, colbert: float, weights: tuple[float, float, float]
    ) -> PairScores:
        """Return the scores with their means; weights are those of dense, sparse and colbert, in this order."""
        for_dense, for_sparse, for_colbert = weights
        both = for_dense * dense + for_sparse * sparse
        return cls(
            dense=dense,
            sparse=sparse,
            colbert=colbert,
            sparse_dense=both / (for_dense + for_sparse),
            combined=(both + for_colbert * colbert) / (for_dense + for_sparse + for_colbert),
        )


def dense_score(query: _Array, document: _Array) -> float:
    """Return the inner product of two vectors. Shape of each: (dim,)."""
    return float(query @ document)


def lexical_score(query: Mapping[int, float], document: Mapping[int, float]) -> float:
    """Return the sum over shared tokens of the product of their weights."""
    return float(sum(weight * document[token] for token, weight in query.items() if token in document))


def colbert_score(query: _Array, document: _Array) -> float:
    """Return the mean over the query's tokens of the best inner product with a token of the document.

    Args:
        query: Shape: (tokens, width).
        document: Shape: (tokens, width).
    """
    return float((query @ document.T).max(axis=1).mean()) if len(query) and len(document) else 0.0
