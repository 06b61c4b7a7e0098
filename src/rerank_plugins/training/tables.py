"""What was measured before and after a training, as lines of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rerank_plugins.training.results import MeasureChange, TrainingResult

__all__ = ["calibration_lines", "changes_table", "measured_lines"]


def changes_table(changes: Sequence[MeasureChange]) -> list[str]:
    """Return measures before and after as a table."""
    rows = [
        f"| {one.name} | {one.before:.4f} | {one.after:.4f} | {one.comparison.difference:+.4f} | "
        f"{one.comparison.p_value:.4f} | {one.better} | {one.worse} |"
        for one in changes
    ]
    return [
        "| measure | before | after | difference | p | queries better | worse |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]


def measured_lines(result: TrainingResult) -> list[str]:
    """Return what was measured, and on what: the dev set, then the sets of ``keep_data``."""
    lines = []
    if result.changes:
        lines += [
            f"On {result.n_dev_queries} queries of `{result.dev_name}`, the dev set.",
            "p is that of the paired randomisation test.",
            "The kept checkpoint was chosen on them, so what stands under after is a little too good.",
            "",
            *changes_table(result.changes),
        ]
    else:
        lines.append("Nothing was measured on a dev set: there was none.")
    for one in result.kept:
        start = f"On {one.n_queries} queries of `{one.name}`, by which no checkpoint was chosen"
        fallen = [change.name for change in one.changes if change.has_fallen]
        lost = f": **{', '.join(fallen)} fell significantly.**" if fallen else "."
        lines += ["", f"{start}{lost}", "", *changes_table(one.changes)]
    if result.fallen_sets and not result.is_adapter:
        lines += [
            "",
            "`rerank-plugins merge` averages these weights with those before, which usually keeps most of both.",
        ]
    return lines


def calibration_lines(result: TrainingResult) -> list[str]:
    """Return what became of thresholds and calibrations."""
    lines = ["Thresholds and calibrations that were fitted to the scores of the model before are void: fit them again."]
    if result.calibration is not None:
        name = result.calibration.name
        lines.append(
            f"`{name}` holds probabilities fitted on the dev set: open the model as its card (README.md) says, with "
            f'`calibration="{result.folder.name}/{name}"` too.'
        )
    return lines
