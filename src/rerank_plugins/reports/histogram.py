"""Histograms of the scores of relevant and other pairs, with a threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reports.style import ACCENT, BAD, INK, label_box, new_figure, plain_axis

__all__ = ["histogram_figure"]

_BINS = 48


@checked_call()
def histogram_figure(
    relevant: Sequence[float],
    others: Sequence[float],
    *,
    threshold: float | None = None,
    threshold_label: str = "threshold",
    unit: str = "raw score",
) -> Any:
    """Return two histograms on one axis, each in per cent of its own pairs, because relevant pairs are few.

    Args:
        relevant: Scores of relevant pairs, at least one.
        others: Scores of the others, at least one.
        threshold: Drawn as a line; None draws none.
        threshold_label: What the line says.
        unit: What a score is.

    Raises:
        InvalidInputError: One of the groups is empty.
        MissingExtraError: matplotlib is not installed.
    """
    if not relevant or not others:
        msg = f"a histogram needs both groups, got {len(relevant)} relevant and {len(others)} other scores"
        raise InvalidInputError(msg)
    figure = new_figure(width=7.2, height=3.8)
    axis = figure.subplots()
    plain_axis(axis, x=unit, y="pairs of the group, %", grid="y")
    edges = np.linspace(*_range(relevant, others), _BINS + 1)
    groups = ((others, BAD, "not relevant"), (relevant, ACCENT, "relevant"))
    for scores, color, name in groups:
        inside = np.clip(scores, edges[0], edges[-1])
        weights = np.full(len(inside), 100.0 / len(inside))
        label = f"{name} ({len(inside):,} pairs)"
        axis.hist(inside, bins=edges, weights=weights, color=color, alpha=0.5, label=label)
        axis.hist(inside, bins=edges, weights=weights, color=color, histtype="step", linewidth=1.2)
    if threshold is not None:
        _draw_threshold(axis, threshold, threshold_label)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, labelcolor=INK, fontsize=9)
    return figure


def _range(relevant: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Return the range without a thousandth of the scores on either side; these are counted in the first and last bar.

    Otherwise the score of a blank document would leave one bar for all other scores.
    """
    low, high = np.quantile(np.concatenate([relevant, others]), [0.001, 0.999])
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _draw_threshold(axis: Any, threshold: float, label: str) -> None:
    # Room above the bars for the label.
    axis.set_ylim(top=axis.get_ylim()[1] * 1.14)
    axis.axvline(threshold, color=INK, linewidth=1.4, linestyle=(0, (4, 2)))
    low, high = axis.get_xlim()
    right = threshold < low + 0.6 * (high - low)
    axis.annotate(
        label,
        (threshold, 0.97),
        xycoords=("data", "axes fraction"),
        xytext=(6 if right else -6, 0),
        textcoords="offset points",
        ha="left" if right else "right",
        va="top",
        color=INK,
        fontsize=9,
        bbox=label_box(),
    )
