"""Results on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmarks.results import CaseResult, Timing, Verdict

__all__ = ["case_tables", "in_words", "milliseconds", "verdict_table"]

_OURS = "rerank_plugins"


def milliseconds(seconds: float) -> str:
    """Return a time in ms with three digits that mean something."""
    value = seconds * 1e3
    if value < 10:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def in_words(verdict: Verdict) -> str:
    """Return whether a target is reached."""
    if verdict.reached is None:
        return "not measured"
    return "reached" if verdict.reached else "NOT reached"


def case_tables(result: CaseResult) -> Group:
    """Return a case's facts, systems and verdicts."""
    parts: list[Table | Text] = []
    if result.timings or result.missing:
        parts.append(_timings(result))
    if result.facts:
        parts.append(_facts(result))
    if result.verdicts:
        parts.append(verdict_table(result.verdicts))
    return Group(*parts)


def _timings(result: CaseResult) -> Table:
    table = Table(title=result.title, title_justify="left")
    for name in ("system", "dtype", "request"):
        table.add_column(name)
    for name in ("median ms", "fastest", "slowest", "max |Δ score|", "top 10 kept"):
        table.add_column(name, justify="right")
    ordered: Sequence[Timing] = sorted(result.timings, key=lambda timing: (timing.note, -timing.median_s))
    for timing in ordered:
        table.add_row(
            timing.system,
            timing.dtype,
            timing.note,
            milliseconds(timing.median_s),
            milliseconds(min(timing.seconds)),
            milliseconds(max(timing.seconds)),
            "" if timing.difference is None else f"{timing.difference:.1e}",
            "" if timing.overlap is None else f"{timing.overlap:.2f}",
            style="bold" if timing.system.startswith(_OURS) else "",
        )
    for missing in result.missing:
        table.add_row(missing.system, missing.dtype, Text(missing.reason, style="dim"), *["-"] * 5)
    return table


def _facts(result: CaseResult) -> Table:
    table = Table(title=None if result.timings else result.title, title_justify="left", show_header=False, box=None)
    for name, value in result.facts.items():
        table.add_row(Text(name, style="dim"), str(value))
    return table


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """Return the targets, what was measured, and whether each is reached."""
    table = Table(title="targets", title_justify="left")
    for name in ("target", "measured", "verdict", "note"):
        table.add_column(name, justify="right" if name == "measured" else "left")
    for verdict in verdicts:
        style = {True: "green", False: "red", None: "yellow"}[verdict.reached]
        measured = "" if verdict.measured is None else f"{verdict.measured:.3g}"
        table.add_row(verdict.text, measured, Text(in_words(verdict), style=style), verdict.note)
    return table
