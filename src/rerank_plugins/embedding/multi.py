"""Runs texts through a model that returns several kinds of vectors in one forward pass (BGE-M3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, log2

import numpy as np
import numpy.typing as npt

from rerank_plugins.embedding.rows import finished_rows
from rerank_plugins.embedding.vectors import PairScores, TextVectors, colbert_score, dense_score, lexical_score
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.protocols import TokenInput
from rerank_plugins.scorers.vector_rows import MultiVectorRow

__all__ = ["OUTPUTS", "TOKENS", "Group", "VectorAssembly", "check_outputs", "check_weights", "grouped", "score_pairs"]

OUTPUTS = ("dense", "sparse", "colbert")
TOKENS = ("colbert",)
"""What a late-interaction model has."""
_SMALLEST_SLOTS = 16

_Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Inputs of similar length, whose rows have the same length.

    Attributes:
        indices: Places of the inputs in the call.
        layout: What the rows hold.
    """

    indices: list[int]
    layout: MultiVectorRow


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorAssembly:
    """Builds the vectors of texts from the rows of the model.

    Attributes:
        dimensions: Length of a text's vector in a row.
        kept_dimensions: How much of it is kept.
        normalize: Whether vectors of texts and tokens get length 1.
        skipped_ids: Special tokens, which get no weight.
    """

    dimensions: int
    kept_dimensions: int
    normalize: bool
    skipped_ids: frozenset[int]

    def build(
        self, inputs: Sequence[TokenInput], groups: Sequence[Group], rows: Sequence[_Rows], outputs: Sequence[str]
    ) -> TextVectors:
        """Return the vectors of all inputs; ``rows`` holds those of each group. Shape of each: (group, width)."""
        dense = np.zeros((len(inputs), self.kept_dimensions), dtype=np.float32)
        sparse: list[dict[int, float]] = [{} for _ in inputs]
        colbert: list[_Rows] = [dense[:0] for _ in inputs]
        for group, of_group in zip(groups, rows, strict=True):
            for index, row in zip(group.indices, of_group, strict=True):
                one = inputs[index]
                vector, weights, tokens = group.layout.split(row, dimensions=self.dimensions, n_tokens=len(one))
                dense[index] = vector[: dense.shape[1]]
                sparse[index] = self._lexical(one, weights)
                # The first special token has no token vector (FlagEmbedding: "we don't use the embedding of cls").
                # A copy: a row is a view, and would keep the batch that it came from in memory.
                colbert[index] = finished_rows(tokens[1:].copy(), normalize=self.normalize)
        return TextVectors(
            dense=finished_rows(dense, normalize=self.normalize) if "dense" in outputs else None,
            sparse=tuple(sparse) if "sparse" in outputs else None,
            colbert=tuple(colbert) if "colbert" in outputs else None,
        )

    def _lexical(self, one: TokenInput, weights: _Rows) -> dict[int, float]:
        best: dict[int, float] = {}
        for token, weight in zip(one.ids.tolist(), weights.tolist(), strict=False):
            if weight > best.get(token, 0.0) and token not in self.skipped_ids:
                best[token] = weight
        return best


def grouped(inputs: Sequence[TokenInput], outputs: Sequence[str]) -> list[Group]:
    """Return the inputs of a call in groups of similar length.

    The rows of one batch have the same length, so a short text in a batch with a long one would fill memory with zeros.
    The number of slots is a power of two, so never more than half of them (or 16) are empty.
    """
    by_slots: dict[int, list[int]] = defaultdict(list)
    needs_slots = "sparse" in outputs or "colbert" in outputs
    for index, one in enumerate(inputs):
        fitting = 2 ** ceil(log2(max(len(one), _SMALLEST_SLOTS)))
        by_slots[fitting if needs_slots else _SMALLEST_SLOTS].append(index)
    return [
        Group(indices, MultiVectorRow(slots=slots, sparse="sparse" in outputs, colbert="colbert" in outputs))
        for slots, indices in sorted(by_slots.items())
    ]


def score_pairs(queries: TextVectors, documents: TextVectors, weights: tuple[float, float, float]) -> list[PairScores]:
    """Return the scores of the n-th query with the n-th document; both have all three kinds of vectors."""
    kinds = (queries.dense, queries.sparse, queries.colbert, documents.dense, documents.sparse, documents.colbert)
    if any(kind is None for kind in kinds):
        msg = "scores need all three kinds of vectors on both sides; ask for outputs=('dense', 'sparse', 'colbert')"
        raise InvalidInputError(msg)
    rows = zip(*kinds, strict=True)  # type: ignore[arg-type]
    return [
        PairScores.weighted(
            dense=dense_score(q_dense, d_dense),
            sparse=lexical_score(q_sparse, d_sparse),
            colbert=colbert_score(q_colbert, d_colbert),
            weights=weights,
        )
        for q_dense, q_sparse, q_colbert, d_dense, d_sparse, d_colbert in rows
    ]


def check_outputs(outputs: Sequence[str] | None, *, allowed: tuple[str, ...] = OUTPUTS) -> tuple[str, ...]:
    """Return the requested outputs, all that are allowed for None.

    Raises:
        InvalidInputError: There are none, or the model does not have one of them.
    """
    if outputs is None:
        return allowed
    if isinstance(outputs, str) or not outputs or any(name not in allowed for name in outputs):
        msg = f"outputs must name one or more of {', '.join(map(repr, allowed))}; got {outputs!r}"
        raise InvalidInputError(msg)
    return tuple(outputs)


def check_weights(weights: Sequence[float]) -> tuple[float, float, float]:
    """Return the weights of dense, sparse and colbert, or raise InvalidInputError if no mean can be made with them."""
    numbers = [float(weight) for weight in weights if isinstance(weight, (int, float)) and 0 <= weight < inf]
    if len(numbers) != len(OUTPUTS) or len(weights) != len(OUTPUTS) or numbers[0] + numbers[1] == 0:
        msg = (
            f"weights must be three numbers, finite and 0 or more, for {', '.join(OUTPUTS)}, and one of the first two "
            f"above 0; got {weights!r}"
        )
        raise InvalidInputError(msg)
    return numbers[0], numbers[1], numbers[2]
