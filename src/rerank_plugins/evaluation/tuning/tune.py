"""The best cascade within a budget of time, chosen on one half of the queries and checked on the other."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Within
from rerank_plugins.composed.members import BudgetMs, Stage, listed_stages
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.measures import evaluate, parse_measures
from rerank_plugins.evaluation.results import Estimate
from rerank_plugins.evaluation.statistics import bootstrap_estimate, compare_paired
from rerank_plugins.evaluation.tuning.kept import KeptScores, keep_scores
from rerank_plugins.evaluation.tuning.results import CascadePoint, Measured, StageCost, Tuning
from rerank_plugins.evaluation.tuning.search import Choice, Replayed, SearchOptions, cascades, front_of

if TYPE_CHECKING:
    from ir_measures.measures import Measure

__all__ = ["tune"]

_Floats = npt.NDArray[np.float64]
_Seed = Annotated[int, Within(0)]
_FEWEST_QUERIES = 4


@dataclass(frozen=True, slots=True, eq=False)
class _Tried:
    """A cascade, and what each query got of it. Shapes: (queries,)."""

    choices: tuple[Choice, ...]
    values: _Floats
    ms: _Floats


@checked_call(unchecked=("stages",))
def tune(
    dataset: Dataset,
    stages: object,
    *,
    budget_ms: BudgetMs,
    candidates: Mapping[str, Sequence[str]] | None = None,
    search: SearchOptions | None = None,
    measure: str = "nDCG@10",
    seed: _Seed = 0,
    advance: Callable[[int], object] | None = None,
) -> Tuning:
    """Return the best stages and depths of a cascade within a budget, from labelled data.

    Each stage scores the candidates of each query once, and is timed. Every cascade of the stages (any of them, in the
    order in which they are given, with depths that do not grow) is then replayed over the kept scores: its order is
    exactly what a :class:`~rerank_plugins.composed.facades.Cascade` without a budget gives (behind another stage not of
    a chat model that looks at the order in which documents come: it has read them as retrieved), and its time is each
    stage's time for the query, by the share of the characters that it would read. What a call costs beside its pairs
    is thereby shared out too, so that the time of a stage that reads very few is a little low. The retrieval of the
    candidates is not in it.

    Half of the queries, drawn with the seed, choose; the other half is only reported, so that what it says is what to
    expect.

    Args:
        dataset: Queries with judgements.
        stages: From cheap to dear: models, or :class:`~rerank_plugins.composed.members.Stage` without a depth.
        budget_ms: Mean milliseconds of a query, above 0.
        candidates: Query id to document ids, as retrieved, of every query with a relevant document; None takes the
            dataset's own.
        search: Which cascades are tried.
        measure: As of :func:`~rerank_plugins.evaluation.measures.parse_measures`.
        seed: Of the halves, intervals and the test.
        advance: Called with 1 after each call of a stage, of which there are queries times stages.

    Raises:
        InvalidInputError: There are fewer than two stages or four labelled queries, no candidate is relevant, a
            candidate is in no document, a query has none, a stage has a depth, or no cascade is within the budget.
        ModelError: A model cannot be loaded.
        MissingExtraError: ir-measures is not installed.
    """
    options = search or SearchOptions()
    listed = _candidate_stages(stages)
    lists = _labelled(dataset, dataset.candidates if candidates is None else candidates)
    named = parse_measures([measure])
    kept = keep_scores(listed, {one: dataset.queries[one] for one in lists}, lists, dataset.texts, advance=advance)
    tried = _measured(list(cascades(kept, options)), kept, dataset, named)
    order = np.random.default_rng(seed).permutation(len(lists))
    chosen_on, held_out = np.sort(order[: len(lists) // 2]), np.sort(order[len(lists) // 2 :])
    points = [(float(one.ms[chosen_on].mean()), float(one.values[chosen_on].mean())) for one in tried]
    places = front_of(points)
    best = _within(places, points, budget_ms)
    alone = {one.choices[0].stage: place for place, one in enumerate(tried) if _is_whole(one, kept)}
    reference = max(alone.values(), key=lambda place: points[place][1])
    halves = (chosen_on, held_out, seed)
    return Tuning(
        dataset=dataset.name,
        measure=measure,
        budget_ms=budget_ms,
        n_tuned=len(chosen_on),
        n_held_out=len(held_out),
        n_tried=len(tried),
        costs=_costs(kept, [float(tried[alone[stage]].values.mean()) for stage in range(len(listed))]),
        front=tuple(_point(tried[place], listed, *halves) for place in places),
        recommended=_point(tried[best], listed, *halves),
        reference=_point(tried[reference], listed, *halves),
        comparison=compare_paired(
            tried[best].values[held_out].tolist(), tried[reference].values[held_out].tolist(), seed=seed
        ),
        environment=_environment(),
    )


def _candidate_stages(stages: object) -> tuple[Stage, ...]:
    listed = listed_stages(stages)
    if len(listed) < 2:
        msg = "tune chooses among stages, and got one; name a cheap one before it, such as 'cosine:mini' or 'bm25'"
        raise InvalidInputError(msg)
    fixed = next((n for n, one in enumerate(listed, start=1) if one.depth or one.min_probability is not None), None)
    if fixed is not None:
        msg = (
            f"stage {fixed} has a depth or a min_probability, which is what tune looks for; leave it out, and set "
            "SearchOptions(depths=..., min_probabilities=...)"
        )
        raise InvalidInputError(msg)
    return listed


def _labelled(dataset: Dataset, candidates: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the candidates of the queries that have a relevant document, or raise InvalidInputError."""
    wanted = [one for one in dataset.queries if dataset.relevant_ids(one)]
    if len(wanted) < _FEWEST_QUERIES:
        msg = (
            f"{dataset.name} has {len(wanted)} queries with a relevant document, and tuning needs {_FEWEST_QUERIES} "
            "or more: one half chooses, the other checks. Label more queries"
        )
        raise InvalidInputError(msg)
    lists = {one: tuple(dict.fromkeys(candidates.get(one, ()))) for one in wanted}
    unknown = next((one for ids in lists.values() for one in ids if one not in dataset.documents), None)
    if unknown is not None:
        msg = f"the candidate {unknown!r} is no document of {dataset.name}; retrieve from this corpus"
        raise InvalidInputError(msg)
    if not any(dataset.relevant_ids(one) & set(ids) for one, ids in lists.items()):
        msg = (
            "no candidate of any query is relevant, so every cascade would score 0; pass candidates=, such as the "
            "documents that a first stage retrieves"
        )
        raise InvalidInputError(msg)
    without = [one for one in wanted if one not in candidates]
    if without:
        msg = (
            f"{len(without)} of {len(wanted)} queries have no candidates, the first is {without[0]!r}: every cascade "
            "would score 0 on them, in no time. Retrieve for each of them (an empty list says that nothing was found)"
        )
        raise InvalidInputError(msg)
    return lists


def _measured(
    replayed: Sequence[Replayed], kept: KeptScores, dataset: Dataset, named: Mapping[str, Measure]
) -> list[_Tried]:
    """Return the measure of each query of each cascade; the same beginning of a list is measured once."""
    ((name, measure),) = named.items()
    # Where only judged documents count, those beyond the cut-off move up into it.
    cutoff: Any = None if measure.params.get("judged_only") else measure.params.get("cutoff")
    keys: dict[tuple[str, bytes], str] = {}
    run: dict[str, dict[str, float]] = {}
    rows = []
    for one in replayed:
        row = []
        for query_id, order in one.orders.items():
            shown = order[:cutoff]
            key = keys.setdefault((query_id, shown.tobytes()), f"{len(keys)}:{query_id}")
            if key not in run:
                ids = kept.queries[query_id].ids
                run[key] = {ids[place]: 1.0 / rank for rank, place in enumerate(shown, start=1)}
            row.append(key)
        rows.append(row)
    qrels = {key: dataset.qrels[query_id] for (query_id, _), key in keys.items()}
    values = evaluate(run, qrels, measures={name: measure}).per_query[name]
    return [
        _Tried(one.choices, np.array([values[key] for key in row]), one.ms)
        for one, row in zip(replayed, rows, strict=True)
    ]


def _within(front: Sequence[int], points: Sequence[tuple[float, float]], budget_ms: float) -> int:
    fitting = [place for place in front if points[place][0] <= budget_ms]
    if not fitting:
        msg = (
            f"no cascade takes {budget_ms:g} ms a query or less, the fastest takes {points[front[0]][0]:.3g} ms; give "
            "a larger budget_ms, a smaller depth, or a cheaper stage such as 'cosine:mini'"
        )
        raise InvalidInputError(msg)
    return fitting[-1]


def _is_whole(one: _Tried, kept: KeptScores) -> bool:
    return len(one.choices) == 1 and one.choices[0].depth == kept.n_candidates


def _point(one: _Tried, stages: Sequence[Stage], chosen_on: Any, held_out: Any, seed: int) -> CascadePoint:
    made = tuple(
        replace(stages[choice.stage], depth=choice.depth, min_probability=choice.min_probability)
        for choice in one.choices
    )
    return CascadePoint(stages=made, tuned=_on(one, chosen_on, seed), held_out=_on(one, held_out, seed))


def _on(one: _Tried, queries: Any, seed: int) -> Measured:
    quality: Estimate = bootstrap_estimate(one.values[queries].tolist(), seed=seed)
    ms = one.ms[queries]
    return Measured(quality, float(ms.mean()), float(np.quantile(ms, 0.95)))


def _costs(kept: KeptScores, qualities: Sequence[float]) -> tuple[StageCost, ...]:
    n_pairs = sum(len(one.ids) for one in kept.queries.values())
    total = np.sum([one.ms for one in kept.queries.values()], axis=0)
    return tuple(
        StageCost(name, float(ms) / n_pairs, n_pairs, quality, listwise)
        for name, ms, quality, listwise in zip(kept.names, total, qualities, kept.is_listwise, strict=True)
    )


def _environment() -> dict[str, str]:
    return {"machine": platform.machine(), "cores": str(os.cpu_count()), "python": platform.python_version()}
