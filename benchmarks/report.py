"""``python -m benchmarks.report``: a run's JSON as the README's Markdown table and as plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.results import CaseResult, RunRecord, Timing, Verdict, read_record
from benchmarks.tables import in_words, milliseconds

__all__ = ["main", "markdown", "plot_request", "plot_targets"]

_OURS = "rerank_plugins"
_COLOUR_OURS, _COLOUR_PEER, _COLOUR_BELOW = "#1f77b4", "#b8bec6", "#d9822b"
_DRAWN = ("mixed", "fixed")


def markdown(record: RunRecord) -> str:
    """Return the run as Markdown: what it ran on, the targets, then the systems of each case."""
    parts = [_where(record), _target_table(record.verdicts)]
    parts += [_case_table(case) if case.timings else _fact_table(case) for case in record.cases]
    return "\n\n".join(parts) + "\n"


def _where(record: RunRecord) -> str:
    environment = record.environment
    bf16 = "" if environment["bf16_in_hardware"] else ", no bf16 instructions"
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items() if number)
    device = environment.get("gpu") or f"{environment['cpu']}, {environment['threads']} threads{bf16}"
    dirty = " with uncommitted changes" if environment["uncommitted_changes"] else ""
    commit = str(environment["commit"] or "unknown")[:12]
    small = " Its requests are smaller than the targets': no result." if record.options["effort"] == "quick" else ""
    return (
        f"Measured on {environment['date_utc']} UTC: {device}; commit {commit}{dirty}; load average at the start "
        f"{environment['load_average_1_5_15']}; `{record.options['effort']}` run.{small} {versions}."
    )


def _target_table(verdicts: Sequence[Verdict]) -> str:
    rows = [
        (
            one.text,
            "" if one.measured is None else f"{one.measured:.3g}",
            in_words(one) + (f" ({one.note})" if one.note else ""),
        )
        for one in verdicts
    ]
    return _rows(("target", "measured", "verdict"), rows)


def _fact_table(case: CaseResult) -> str:
    return f"{case.title}\n\n" + _rows(("what", "measured"), [(name, str(value)) for name, value in case.facts.items()])


def _case_table(case: CaseResult) -> str:
    rows = [
        (
            f"**{timing.system}**" if timing.system.startswith(_OURS) else timing.system,
            timing.dtype,
            *([timing.note] if _has_notes(case) else []),
            milliseconds(timing.median_s),
            "" if timing.difference is None else f"{timing.difference:.0e}",
        )
        for timing in _ordered(case.timings)
    ]
    header = ("system", "dtype", *(["request"] if _has_notes(case) else []), "median ms", "max score difference")
    absent = "".join(f"\n\n{one.system} ({one.dtype}): {one.reason}." for one in case.missing)
    return f"{case.title}\n\n{_rows(header, rows)}{absent}"


def _has_notes(case: CaseResult) -> bool:
    return any(timing.note for timing in case.timings)


def _ordered(timings: Sequence[Timing]) -> list[Timing]:
    return sorted(timings, key=lambda timing: (timing.note, -timing.median_s))


def _rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def plot_request(case: CaseResult, path: Path) -> None:
    """Draw the median time of every system in one case, the slowest on top; ours in colour."""
    timings = _ordered(case.timings)
    figure, axes = _canvas(height=0.34 * len(timings) + 1.3)
    names = [f"{timing.system}, {timing.dtype}" for timing in timings]
    values = [timing.median_s * 1e3 for timing in timings]
    colours = [_COLOUR_OURS if timing.system.startswith(_OURS) else _COLOUR_PEER for timing in timings]
    bars = axes.barh(names, values, color=colours)
    axes.bar_label(bars, labels=[f" {milliseconds(timing.median_s)}" for timing in timings], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, max(values) * 1.12)
    axes.set_xlabel("median time of the request, ms (shorter is better)", fontsize=9)
    axes.set_title(case.title, loc="left", fontsize=10)
    _save(figure, path)


def plot_targets(verdicts: Sequence[Verdict], least: dict[str, float], path: Path) -> None:
    """Draw every measured ratio as a multiple of its target; 1 is reached.

    Args:
        verdicts: Of a run; those without a number or without a lower bound are left out.
        least: The lower bound of each target that has one.
        path: Where the picture goes.
    """
    drawn = [(one, one.measured / least[one.target]) for one in verdicts if one.measured and one.target in least]
    if not drawn:
        return
    figure, axes = _canvas(height=0.34 * len(drawn) + 1.2)
    colours = [_COLOUR_OURS if one.reached else _COLOUR_BELOW for one, _ in drawn]
    bars = axes.barh([one.text for one, _ in drawn], [share for _, share in drawn], color=colours)
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.bar_label(bars, labels=[f"{one.measured:.3g}" for one, _ in drawn], fontsize=8, padding=4, bbox=paper)
    axes.axvline(1.0, color="black", linewidth=1, zorder=0.5)
    axes.invert_yaxis()
    axes.set_xlim(0, max(1.2, *(share * 1.12 for _, share in drawn)))
    axes.set_xlabel("measured / target (the line is the target)", fontsize=9)
    _save(figure, path)


def _canvas(*, height: float) -> tuple[Any, Any]:
    # A figure of its own, not pyplot's: no global state, no window.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, height))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight", dpi=150)


def main(
    record: Annotated[Path, typer.Argument(help="The JSON of a run.")] = Path("benchmarks/results/cpu.json"),
    images: Annotated[Path, typer.Option(help="Folder of the plots.")] = Path("docs/images"),
) -> None:
    """Print a run as Markdown and draw its plots."""
    from benchmarks.targets import TARGETS

    run = read_record(record)
    print(markdown(run))
    for case in run.cases:
        if case.case in _DRAWN and case.timings:
            plot_request(case, images / f"benchmark-{case.case}.png")
    least = {key: target.least for key, target in TARGETS.items() if target.least is not None}
    plot_targets(run.verdicts, least, images / "benchmark-targets.png")


if __name__ == "__main__":
    typer.run(main)
