"""The table of a report: systems as rows, measures and costs as columns, the best of each column marked.

A significance mark compares a system with its own first stage (paired randomisation test), after Holm's
correction (Holm 1979) over all comparisons of the same measure in the report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rerank_plugins.evaluation.results import Cell, Comparison, Estimate, System
from rerank_plugins.evaluation.worse import SIGNIFICANCE, worse_cell
from rerank_plugins.reports.systems import Scene

__all__ = [
    "COST", "SIGNIFICANCE", "Entry", "Row", "Table",
    "dataset_table", "holm", "mean_table", "result_tables", "worse_sentences",
]  # fmt: skip

COST = "cost/1000"
_LEAST_COST = 0.0001


@dataclass(frozen=True, slots=True)
class Entry:
    """One figure as it is shown.

    Attributes:
        text: The figure; empty if there is none.
        interval: ``.61–.72``; empty without one.
        mark: ``▲`` or ``▼`` for a significant difference to the first stage.
        is_best: Whether no other system in the column is better, as shown.
    """

    text: str
    interval: str = ""
    mark: str = ""
    is_best: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One system."""

    name: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of one dataset, or of the means over all.

    Attributes:
        title: The dataset, or what was averaged.
        note: Number of queries, or what is left out.
        columns: Headings, without that of the names.
        rows: The systems.
    """

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def result_tables(scene: Scene, *, with_costs: bool = True) -> tuple[Table, ...]:
    """Return the table of the means, if there are several datasets, and that of each dataset.

    Args:
        scene: The results.
        with_costs: Whether times, speed and money are shown.
    """
    mean = mean_table(scene, with_costs=with_costs)
    tables = [dataset_table(scene, dataset, with_costs=with_costs) for dataset in scene.datasets]
    return tuple([mean, *tables] if mean else tables)


def dataset_table(scene: Scene, dataset: str, *, with_costs: bool = True) -> Table:
    """Return the table of one dataset."""
    cells = scene.cells_of(dataset)
    significant = _significant(scene)
    names = [scene.names.full(cell.system) for cell in cells]
    columns = [(name, [_estimate(cell, name, significant) for cell in cells]) for name in scene.measures]
    columns += _costs([[cell] for cell in cells]) if with_costs else []
    counts = sorted({cell.n_queries for cell in cells})
    note = f"{' to '.join(f'{n:,}' for n in dict.fromkeys((counts[0], counts[-1])))} queries"
    return _table(title=dataset, note=note, names=names, columns=columns)


def mean_table(scene: Scene, *, with_costs: bool = True) -> Table | None:
    """Return the means over the datasets of the systems that ran on all; None for a single dataset."""
    systems = scene.complete_systems()
    if len(scene.datasets) < 2 or not systems:
        return None
    names = [scene.names.full(system) for system in systems]
    columns = [
        (name, [Entry(_figure(scene.mean(cells, name))) for cells in systems.values()]) for name in scene.measures
    ]
    columns += _costs(list(systems.values())) if with_costs else []
    n_left_out = len({cell.system for cell in scene.results.cells}) - len(systems)
    note = "every dataset counts the same"
    note += f"; {n_left_out} systems that did not run on all are left out" if n_left_out else ""
    return _table(title=f"Mean of {len(scene.datasets)} datasets", note=note, names=names, columns=columns)


def holm(comparisons: Mapping[tuple[str, System], Comparison]) -> set[tuple[str, System]]:
    """Return which comparisons are significant at 0.05 after Holm's correction for their number."""
    kept: set[tuple[str, System]] = set()
    ordered = sorted(comparisons, key=lambda key: comparisons[key].p_value)
    for rank, key in enumerate(ordered):
        if comparisons[key].p_value > SIGNIFICANCE / (len(ordered) - rank):
            break
        kept.add(key)
    return kept


def worse_sentences(scene: Scene) -> list[str]:
    """Return a sentence for each cell whose reranking lowered a measure, by the same test as the marks."""
    significant = _significant(scene)
    cells = [cell for dataset in scene.datasets for cell in scene.cells_of(dataset)]
    sentences = [
        worse_cell(
            cell,
            scene.names.full(cell.system),
            beyond_noise=[name for name, kept in significant.items() if (cell.dataset, cell.system) in kept],
        )
        for cell in cells
    ]
    return [sentence for sentence in sentences if sentence]


def _significant(scene: Scene) -> dict[str, set[tuple[str, System]]]:
    return {
        measure: holm(
            {
                (cell.dataset, cell.system): cell.against_first_stage[measure]
                for cell in scene.results.cells
                if measure in cell.against_first_stage
            }
        )
        for measure in scene.measures
    }


def _estimate(cell: Cell, measure: str, significant: Mapping[str, set[tuple[str, System]]]) -> Entry:
    estimate = cell.measures[measure]
    mark = ""
    if (cell.dataset, cell.system) in significant[measure]:
        mark = "▲" if cell.against_first_stage[measure].difference > 0 else "▼"
    return Entry(_figure(estimate.value), _interval(estimate), mark)


def _costs(groups: Sequence[Sequence[Cell]]) -> list[tuple[str, list[Entry]]]:
    """Return the columns of times, speed and cost that were measured: means over each system's cells."""
    columns = [
        ("p50 ms", [_mean([cell.latency.p50_ms if cell.latency else None for cell in cells]) for cells in groups]),
        ("p95 ms", [_mean([cell.latency.p95_ms if cell.latency else None for cell in cells]) for cells in groups]),
        ("pairs/s", [_mean([cell.pairs_per_s for cell in cells]) for cells in groups]),
        (COST, [_mean([cell.cost_per_1000_queries for cell in cells], shown=_money) for cells in groups]),
    ]
    return [(name, entries) for name, entries in columns if any(entry.text for entry in entries)]


def _mean(values: Sequence[float | None], *, shown: Callable[[float], str] | None = None) -> Entry:
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return Entry("")
    return Entry((shown or _time)(sum(known) / len(known)))


def _time(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _money(value: float) -> str:
    if 0 < value < _LEAST_COST:
        return f"<{_LEAST_COST}"
    return f"{value:,.2f}" if value >= 100 else f"{value:.4f}"


def _table(*, title: str, note: str, names: list[str], columns: list[tuple[str, list[Entry]]]) -> Table:
    marked = [_with_best(name, entries) for name, entries in columns]
    rows = tuple(Row(name, tuple(column[place] for column in marked)) for place, name in enumerate(names))
    return Table(title=title, note=note, columns=tuple(name for name, _ in columns), rows=rows)


def _with_best(name: str, entries: list[Entry]) -> list[Entry]:
    known = [_shown(entry) for entry in entries if entry.text]
    if len(known) < 2:
        return entries
    best = min(known) if name.endswith(" ms") or name == COST else max(known)
    return [
        Entry(entry.text, entry.interval, entry.mark, is_best=bool(entry.text) and _shown(entry) == best)
        for entry in entries
    ]


def _shown(entry: Entry) -> float:
    # Compared as printed, so that equal values are bold together and a difference that is not printed does not count.
    return 0.0 if entry.text.startswith("<") else float(entry.text.replace(",", ""))


def _figure(value: float) -> str:
    return f"{value:.3f}"


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{estimate.low:.3f}–{estimate.high:.3f}"
