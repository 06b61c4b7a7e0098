"""What a training would do, and what it brought, for a terminal."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from rerank_plugins.display.terminal import Screen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from rerank_plugins.training.results import MeasureChange, TrainingPlan, TrainingResult

__all__ = ["show_plan", "show_result"]


def show_plan(plan: TrainingPlan) -> None:
    """Print what a training would do."""
    screen = Screen()
    for line in _plan_lines(plan):
        screen.print(line, soft_wrap=True)


def _plan_lines(plan: TrainingPlan) -> list[str]:
    dev = f"{plan.n_dev_queries} queries, {plan.n_dev_pairs} pairs" if plan.n_dev_pairs else "none"
    mean, cut = f"{plan.mean_tokens:.0f} on average", f"{plan.share_cut:.1%} are cut"
    return [
        f"model        {plan.model} (family {plan.family}), {plan.n_parameters:,} weights in float32",
        f"rows         {plan.n_rows:,}, one group each in every epoch",
        f"dev set      {dev}, measured {plan.measurements} times",
        f"{plan.unit:<13}{plan.max_length} tokens at most; {mean}, {cut}",
        f"step         {plan.groups_per_step} groups, {plan.pairs_per_step} {plan.unit}",
        f"steps        {plan.steps:,} ({plan.steps_per_epoch:,} an epoch)",
        f"time         about {_duration(plan.seconds)} ({plan.seconds_per_step:.2f} s a step, of three real ones)",
        f"memory       {plan.peak_bytes / 1e9:.1f} GB at most in the three steps",
        "Nothing was kept.",
    ]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def show_result(result: TrainingResult, *, base: str) -> None:
    """Print what a training brought.

    Args:
        result: The training.
        base: Name of the model before.
    """
    from rerank_plugins.cli.output import table_console

    console = table_console()
    for name, changes in (("dev", result.changes), *((one.name, one.changes) for one in result.kept)):
        if changes:
            console.print(_changes_table(name, changes))
    kept = "the last one is kept" if result.best_step is None else f"step {result.best_step} is kept"
    console.print(f"{result.steps} steps in {_duration(result.seconds)}; {kept}.")
    page = "report.md" if result.changes or result.kept else "README.md"
    if result.fallen_sets:
        console.print(" ".join(_after_a_loss(result, base)), soft_wrap=True)
    console.print(f"Saved {result.folder}; look at {result.folder / page}", soft_wrap=True)


def _after_a_loss(result: TrainingResult, base: str) -> Iterator[str]:
    yield f"{', '.join(result.fallen_sets)} got worse."
    if not result.is_adapter:
        yield "The average with the model before usually keeps most of both:"
        yield f"rerank-plugins merge {quote(str(result.folder))} --base {quote(base)} -o MERGED"


def _changes_table(name: str, changes: Sequence[MeasureChange]) -> Table:
    from rich.table import Table

    table = Table(name, "before", "after", "difference", "p", "better", "worse")
    for one in changes:
        figures = (f"{one.before:.4f}", f"{one.after:.4f}", f"{one.comparison.difference:+.4f}")
        table.add_row(one.name, *figures, f"{one.comparison.p_value:.4f}", str(one.better), str(one.worse))
    return table
