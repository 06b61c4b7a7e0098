"""Evaluation results as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from rerank_plugins.evaluation.results import Cell, Curve, Estimate, EvaluationResults
from rerank_plugins.evaluation.worse import SIGNIFICANCE, worse_cell

__all__ = ["results_remarks", "results_tables"]


def results_tables(results: EvaluationResults) -> list[Table]:
    """Return a table for each dataset, with the best value of each column in bold, and one for each curve."""
    names = list(dict.fromkeys(cell.dataset for cell in results.cells))
    tables = [_cells_table(name, [cell for cell in results.cells if cell.dataset == name]) for name in names]
    return [*tables, *(_curve_table(curve) for curve in results.curves)]


def results_remarks(results: EvaluationResults) -> list[str]:
    """Return a sentence for each cell whose reranking lowered a measure."""
    sentences = [worse_cell(cell, _system(cell)) for cell in results.cells]
    return [sentence for sentence in sentences if sentence]


def _cells_table(name: str, cells: Sequence[Cell]) -> Table:
    measures = list(cells[0].measures)
    best = {measure: max(cell.measures[measure].value for cell in cells) for measure in measures}
    table = Table(title=f"{name}: {cells[0].n_queries} queries", title_justify="left", box=box.SIMPLE_HEAD)
    table.caption = "* differs from its own first stage: p < 0.05, paired randomisation test"
    table.caption_justify = "left"
    table.add_column("system", overflow="fold", min_width=24)
    for measure in measures:
        table.add_column(measure, justify="right", no_wrap=True)
    table.add_column(f"{measures[0]} 95 %", justify="right", no_wrap=True)
    has_cost = any(cell.cost_per_1000_queries is not None for cell in cells)
    for heading in ("p50 ms", "p95 ms", "pairs/s", *(["cost/1000"] if has_cost else [])):
        table.add_column(heading, justify="right")
    for cell in cells:
        figures = [_figure(cell, measure, best=best[measure]) for measure in measures]
        interval = _interval(cell.measures[measures[0]])
        table.add_row(_system(cell), *figures, interval, *_costs(cell, has_cost=has_cost))
    return table


def _system(cell: Cell) -> str:
    system = cell.system
    first = " ".join(part for part in (system.retriever, system.embedder) if part)
    if system.reranker is None:
        return f"{first} (keep {system.top_n})"
    return f"{first} → {system.reranker} ({system.top_k} → {system.top_n})"


def _figure(cell: Cell, measure: str, *, best: float) -> Text:
    estimate, against = cell.measures[measure], cell.against_first_stage.get(measure)
    text = Text(f"{estimate.value:.3f}", style="bold" if estimate.value == best else "")
    if against is not None and against.p_value < SIGNIFICANCE:
        text.append("*")
    return text


def _interval(estimate: Estimate) -> str:
    return "" if estimate.low is None or estimate.high is None else f"{estimate.low:.2f} to {estimate.high:.2f}"


def _costs(cell: Cell, *, has_cost: bool) -> list[str]:
    latency, cost = cell.latency, cell.cost_per_1000_queries
    shown = [
        "" if latency is None else f"{latency.p50_ms:.1f}",
        "" if latency is None else f"{latency.p95_ms:.1f}",
        "" if cell.pairs_per_s is None else f"{cell.pairs_per_s:.0f}",
    ]
    return [*shown, "" if cost is None else f"{cost:.4f}"] if has_cost else shown


def _curve_table(curve: Curve) -> Table:
    what = "documents in the corpus" if curve.kind == "growth" else "documents reranked"
    table = Table(title=f"{curve.dataset}: {curve.measure} against {what}", title_justify="left", box=box.SIMPLE_HEAD)
    table.caption, table.caption_justify = curve.remark or None, "left"
    table.add_column("system", overflow="fold")
    for point in next(iter(curve.lines.values()), ()):
        table.add_column(str(point.x), justify="right")
    for name, points in curve.lines.items():
        table.add_row(name, *(f"{point.estimate.value:.3f}" for point in points))
    return table
