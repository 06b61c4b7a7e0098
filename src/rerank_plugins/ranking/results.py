"""Turns the rows of a forward pass into results: one score per pair, documents in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from rerank_plugins.ranking.aggregate import aggregate_windows
from rerank_plugins.ranking.order import check_threshold, check_top_n, passes, sorted_indices
from rerank_plugins.types import (
    BLANK_DOCUMENT_SCORE,
    Document,
    LongDocuments,
    RankedDocument,
    ScoreUnit,
    StageScore,
    WindowSpan,
)

__all__ = ["PairReading", "ScoredPair", "Selection", "ranked_documents", "scored_pairs"]


class PairReading(Protocol):
    """How one pair was read: the number of inputs, and the characters of the document in each."""

    @property
    def n_inputs(self) -> int:
        """Inputs that the document was read in: one, one per window, or 0 for a blank document."""
        ...

    @property
    def truncated(self) -> bool:
        """Whether a part of the document is in no input."""
        ...

    def span(self, winner: int) -> WindowSpan | None:
        """Return the characters in an input, or None if it holds the whole document."""
        ...


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """A pair's raw score, the characters it was read from (None for the whole document), and what it was made of."""

    score: float
    window: WindowSpan | None
    stages: tuple[StageScore, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The rule by which ranked documents are selected: ``top_n`` and threshold.

    Attributes:
        top_n: At most so many; None for all.
        threshold: None that score lower; None for no limit.
        unit: What the threshold is compared with.
    """

    top_n: int | None
    threshold: float | None
    unit: ScoreUnit

    @classmethod
    def checked(cls, *, top_n: int | None, threshold: float | None, unit: ScoreUnit) -> Selection:
        """Return a selection, or raise InvalidInputError for a wrong ``top_n`` or threshold."""
        check_top_n(top_n)
        check_threshold(threshold, unit=unit)
        return cls(top_n=top_n, threshold=threshold, unit=unit)

    def of(self, ranked: Sequence[RankedDocument]) -> list[RankedDocument]:
        """Return the selected documents, in their order."""
        kept = [
            one
            for one in ranked
            if passes(score=one.score, probability=one.probability, threshold=self.threshold, unit=self.unit)
        ]
        return kept[: self.top_n]


def scored_pairs(
    readings: Sequence[PairReading],
    values: Sequence[float],
    *,
    long_documents: LongDocuments,
    stages: Sequence[tuple[StageScore, ...]] | None = None,
) -> list[ScoredPair]:
    """Return the score of each pair.

    Args:
        readings: How each pair was read.
        values: One raw score per model input, in the pairs' order.
        long_documents: How the scores of a pair's windows are combined.
        stages: What each input's score was made of; None if the backend does not say.
    """
    results: list[ScoredPair] = []
    start = 0
    for pair in readings:
        end = start + pair.n_inputs
        if end == start:
            results.append(ScoredPair(BLANK_DOCUMENT_SCORE, None))
            continue
        score, winner = aggregate_windows(values[start:end], long_documents)
        span = None if winner is None else pair.span(winner)
        # Where windows were averaged, the best of them speaks for the document.
        best = max(range(start, end), key=values.__getitem__) if winner is None else start + winner
        results.append(ScoredPair(score, span, () if stages is None else stages[best]))
        start = end
    return results


def ranked_documents(
    documents: Sequence[Document],
    readings: Sequence[PairReading],
    scored: Sequence[ScoredPair],
    *,
    probability_of: Callable[[float], float],
) -> list[RankedDocument]:
    """Return all documents from best to worst, blank ones last.

    Args:
        documents: What was passed in.
        readings: How each was read.
        scored: Their scores.
        probability_of: Gives a raw score's probability.
    """
    order = sorted_indices([pair.score for pair in scored], blank=[not pair.n_inputs for pair in readings])
    return [
        RankedDocument(
            index=index,
            score=scored[index].score,
            probability=probability_of(scored[index].score),
            rank=rank,
            document=documents[index].text,
            window=scored[index].window,
            truncated=readings[index].truncated or any(one.truncated for one in scored[index].stages[-1:]),
            id=documents[index].id,
            metadata=documents[index].metadata,
            stages=scored[index].stages,
        )
        for rank, index in enumerate(order, start=1)
    ]
