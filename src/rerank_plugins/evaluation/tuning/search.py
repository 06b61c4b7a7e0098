"""Every cascade of some stages, replayed over kept scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import comb
from typing import Annotated

import numpy as np
import numpy.typing as npt

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Within
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.tuning.kept import KeptScores, QueryScores

__all__ = ["Choice", "Replayed", "SearchOptions", "cascades", "front_of", "n_cascades"]

_Floats = npt.NDArray[np.float64]

_Probability = Annotated[float, Within(0.0, 1.0)]


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """Which cascades are tried.

    Attributes:
        depths: Documents that a stage may read; reading all candidates is always tried too. Depths above the number of
            candidates are left out.
        min_probabilities: A stage after the first may leave out what the one before gave less; not to do so is always
            tried too.
        max_stages: Stages of a cascade at most.
        max_cascades: More than so many are refused instead of tried.
    """

    depths: Sequence[Count] = (5, 10, 20, 50, 100, 200, 500)
    min_probabilities: Sequence[_Probability] = ()
    max_stages: Count = 3
    max_cascades: Count = 20_000


@dataclass(frozen=True, slots=True)
class Choice:
    """One stage of a cascade: which of the candidate stages, how deep, and from which probability."""

    stage: int
    depth: int
    min_probability: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """A cascade as it would have ordered the candidates.

    Attributes:
        choices: Its stages.
        orders: Query id to places among the candidates, best first.
        ms: Milliseconds of each query, in the order of the queries. Shape: (queries,).
    """

    choices: tuple[Choice, ...]
    orders: Mapping[str, npt.NDArray[np.intp]]
    ms: _Floats


@dataclass(slots=True, eq=False)
class _State:
    """The candidates of a query behind the stages so far, of which the first ``n_kept`` were read by the last one."""

    order: npt.NDArray[np.intp]
    probabilities: _Floats
    n_kept: int
    ms: float = field(default=0.0)

    @classmethod
    def first(cls, kept: QueryScores) -> _State:
        """Return the candidates as they came, blank ones behind the others, as every reranker has them."""
        order = np.arange(len(kept.ids))
        if kept.firsts is not None:
            order = np.argsort(kept.firsts < 0, kind="stable")
        return cls(order, np.zeros(len(order)), len(order))

    def shown(self, kept: QueryScores, depth: int) -> npt.NDArray[np.intp]:
        """Return what a stage of some depth scores: copies of one text count once, and blank ones not at all."""
        order = self.order[: self.n_kept]
        if kept.firsts is None:
            return order[:depth]
        firsts = kept.firsts[order]
        chosen = list(dict.fromkeys(firsts[firsts >= 0].tolist()))[:depth]
        return order[np.isin(firsts, chosen)]

    def after(self, kept: QueryScores, choice: Choice) -> _State:
        read = self.shown(kept, choice.depth)
        if choice.min_probability is not None:
            read = read[self.probabilities[read] >= choice.min_probability]
        if not len(read):
            return replace(self, n_kept=0)
        ranked = read[np.argsort(-kept.scores[choice.stage][read], kind="stable")]
        seen = np.zeros(len(self.order), dtype=bool)
        seen[read] = True
        probabilities = self.probabilities.copy()
        probabilities[read] = kept.probabilities[choice.stage][read]
        share = kept.characters[read].sum() / max(kept.characters.sum(), 1.0)
        order = np.concatenate([ranked, self.order[~seen[self.order]]])
        return _State(order, probabilities, len(read), self.ms + float(kept.ms[choice.stage] * share))


def n_cascades(n_stages: int, options: SearchOptions, *, n_candidates: int) -> int:
    """Return how many cascades :func:`cascades` gives at most."""
    n_depths = len(_depths(options, n_candidates))
    n_least = 1 + len(set(options.min_probabilities))
    return sum(
        comb(n_stages, k) * comb(n_depths + k - 1, k) * n_least ** (k - 1)
        for k in range(1, min(options.max_stages, n_stages) + 1)
    )


def cascades(kept: KeptScores, options: SearchOptions) -> Iterator[Replayed]:
    """Yield every cascade of the stages, in the order of the stages, with depths that do not grow.

    A listwise stage is tried only where it reads all candidates, because its scores of one list say nothing of another.

    Raises:
        InvalidInputError: There would be more than ``max_cascades``.
    """
    n = n_cascades(len(kept.names), options, n_candidates=kept.n_candidates)
    if n > options.max_cascades:
        msg = (
            f"{len(kept.names)} stages with these depths and probabilities make {n:,} cascades, more than "
            f"max_cascades={options.max_cascades:,}; name fewer depths, or set max_stages"
        )
        raise InvalidInputError(msg)
    start = {query_id: _State.first(one) for query_id, one in kept.queries.items()}
    yield from _longer_cascades((), start, kept, options)


def front_of(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the places of the points that no other dominates, from fast to slow.

    A point dominates another that takes at least its time and has at most its quality, and differs. Of equal points
    the first counts.

    Args:
        points: (milliseconds, quality).
    """
    found: list[int] = []
    for place in sorted(range(len(points)), key=lambda one: (points[one][0], -points[one][1], one)):
        if not found or points[place][1] > points[found[-1]][1]:
            found.append(place)
    return found


def _longer_cascades(
    choices: tuple[Choice, ...], states: Mapping[str, _State], kept: KeptScores, options: SearchOptions
) -> Iterator[Replayed]:
    """Yield the cascades that begin with some stages, and are longer."""
    if len(choices) == options.max_stages:
        return
    for choice in _next_choices(choices, kept, options):
        after = {query_id: state.after(kept.queries[query_id], choice) for query_id, state in states.items()}
        made = (*choices, choice)
        yield Replayed(
            made, {one: state.order for one, state in after.items()}, np.array([s.ms for s in after.values()])
        )
        yield from _longer_cascades(made, after, kept, options)


def _next_choices(choices: tuple[Choice, ...], kept: KeptScores, options: SearchOptions) -> Iterator[Choice]:
    first = choices[-1].stage + 1 if choices else 0
    deepest = choices[-1].depth if choices else kept.n_candidates
    least = (None, *sorted(set(options.min_probabilities))) if choices else (None,)
    for stage in range(first, len(kept.names)):
        for depth in _depths(options, kept.n_candidates):
            for probability in least:
                reads_all = depth == kept.n_candidates and probability is None
                if depth <= deepest and (reads_all or not kept.is_listwise[stage]):
                    yield Choice(stage, depth, probability)


def _depths(options: SearchOptions, n_candidates: int) -> list[int]:
    return sorted({one for one in options.depths if one < n_candidates} | {n_candidates})
