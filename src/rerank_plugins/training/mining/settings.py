"""What mining is asked to do. Names are FlagEmbedding's (``scripts/hn_mine.py``) and sentence-transformers'."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Within
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval.build import RetrieverName

__all__ = ["MiningSettings", "SamplingStrategy", "ScoreFilter"]

SamplingStrategy = Literal["random", "top"]
"""``random``: any of the candidates; ``top``: the first ones."""

_RANGE = re.compile(r"(\d{1,9})-(\d{1,9})")
_USUAL_MARGIN = 0.05


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreFilter:
    """Which candidates are likely answers, or too easy, by scores; None never drops one.

    Names and rules are those of sentence-transformers' ``mine_hard_negatives``, but margins count from the worst
    labelled positive of the query: what scores as high as any of them may be one too. Scores are probabilities where
    a reranker gives them, else cosines.

    Attributes:
        max_score: A candidate above it is a likely answer.
        min_score: A candidate below it is too easy.
        absolute_margin: One above the worst positive's score minus this is a likely answer.
        relative_margin: One above the worst positive's score minus this share of its magnitude is. 0.05 is the rule
            TopK-PercPos (95 %) of NV-Retriever (arXiv 2407.15831).
    """

    max_score: Annotated[float, Within(-math.inf), "a finite number"] | None = None
    min_score: Annotated[float, Within(-math.inf), "a finite number"] | None = None
    absolute_margin: Annotated[float, Within(0.0)] | None = None
    relative_margin: Annotated[float, Within(0.0)] | None = None

    @property
    def is_any(self) -> bool:
        """Whether there is a rule."""
        return any(one is not None for one in (self.max_score, self.min_score, *self._margins))

    @property
    def _margins(self) -> tuple[float | None, float | None]:
        return self.absolute_margin, self.relative_margin

    def or_usual(self) -> ScoreFilter:
        """Return itself, or the rule of NV-Retriever where there is none."""
        return self if self.is_any else ScoreFilter(relative_margin=_USUAL_MARGIN)

    def highest(self, worst_positive: float) -> float:
        """Return the score above which a candidate is a likely answer."""
        limits = [float("inf")]
        if self.max_score is not None:
            limits.append(self.max_score)
        if self.absolute_margin is not None:
            limits.append(worst_positive - self.absolute_margin)
        if self.relative_margin is not None:
            limits.append(worst_positive - abs(worst_positive) * self.relative_margin)
        return min(limits)

    def is_easy(self, score: float) -> bool:
        """Return whether a candidate is too easy."""
        return self.min_score is not None and score < self.min_score


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class MiningSettings:
    """What is mined, from what, and where the rows with negatives go.

    Attributes:
        data: Files of training data with positives, in any format that ``rerank-plugins data formats`` names.
        output: JSON lines in this project's schema; not compressed. What was asked, and how far it got, is in
            ``NAME.job.json`` beside it.
        format_name: Format of the data; None tells it from its rows.
        candidate_pool: Where negatives come from: JSON lines with ``text`` (and ``_id`` and ``title`` if there are
            any), or a folder in BEIR layout. None takes all texts of the data.
        retrievers: First stages over the pool: ``bm25``, ``dense``, ``hybrid``; the candidates of several take turns.
        faiss_index: Of dense stages, see :class:`~rerank_plugins.retrieval.DenseIndex`; None needs no FAISS.
        range_for_sampling: Ranks that negatives are taken from, ``FROM-TO``: 10-210 skips the best 10 and ends with the
            210th, of each first stage.
        negative_number: Negatives mined for a query, beside the labelled ones.
        sampling_strategy: Which of the candidates are taken.
        score_filter: Which candidates are left out by their score.
        keep_labelled: Whether the negatives that a row has are kept, in front of the mined ones.
        random_fill: Whether texts drawn from the whole pool stand in where the range has too few.
        seed: Of all draws; the draws of a row depend on this and its number only.
        show_dropped: How many of the candidates that were dropped as likely answers are returned, for a look at them.
        batch_rows: Rows that are searched and written together: what a killed run loses at most.
        restart: Whether an earlier run's output is thrown away; without it that run goes on.
    """

    data: tuple[str | Path, ...]
    output: str | Path
    format_name: str | None = None
    candidate_pool: str | Path | None = None
    retrievers: tuple[RetrieverName, ...] = ("hybrid",)
    faiss_index: str | None = "Flat"
    range_for_sampling: str = "10-210"
    negative_number: Count = 15
    sampling_strategy: SamplingStrategy = "random"
    score_filter: ScoreFilter = ScoreFilter()
    keep_labelled: bool = True
    random_fill: bool = True
    seed: Annotated[int, Within(0)] = 42
    show_dropped: Annotated[int, Within(0)] = 0
    batch_rows: Count = 64
    restart: bool = False

    def __post_init__(self) -> None:
        if not self.data:
            msg = "data names no file; give at least one"
            raise InvalidInputError(msg)
        if not self.retrievers:
            msg = "retrievers names no first stage; give bm25, dense or hybrid"
            raise InvalidInputError(msg)
        first, last = self.ranks
        n_candidates = (last - first) * len(self.retrievers)
        if n_candidates < self.negative_number and not self.random_fill:
            msg = (
                f"range_for_sampling={self.range_for_sampling!r} has {n_candidates} candidates at most, fewer than "
                f"negative_number={self.negative_number}; widen it, or allow random_fill"
            )
            raise InvalidInputError(msg)

    @property
    def needs_embedder(self) -> bool:
        """Whether one of the first stages is dense."""
        return any(name != "bm25" for name in self.retrievers)

    @property
    def ranks(self) -> tuple[int, int]:
        """How many of the best are skipped, and the last rank that is taken."""
        match = _RANGE.fullmatch(self.range_for_sampling.strip())
        if match is None or int(match[1]) >= int(match[2]):
            got = self.range_for_sampling
            msg = f"range_for_sampling must be FROM-TO with FROM below TO, such as 10-210; got {got!r}"
            raise InvalidInputError(msg)
        return int(match[1]), int(match[2])
