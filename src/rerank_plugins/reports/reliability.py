"""Reliability diagrams: predicted probabilities against observed frequencies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank_plugins.calibration import Reliability
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reports.style import INK, MUTED, SERIES, new_figure, plain_axis

__all__ = ["reliability_figure"]

_MARKERS = "osD^"


@checked_call()
def reliability_figure(named: Mapping[str, Reliability]) -> Any:
    """Return a diagram with a line for each set of probabilities; on the diagonal they are exactly calibrated.

    The size of a point grows with the pairs in its bin.

    Args:
        named: Name to figures, one to four.

    Raises:
        InvalidInputError: There are none, or more than four.
        MissingExtraError: matplotlib is not installed.
    """
    if not 1 <= len(named) <= len(_MARKERS):
        msg = f"a reliability diagram shows one to {len(_MARKERS)} sets of probabilities, got {len(named)}"
        raise InvalidInputError(msg)
    figure = new_figure(width=5.4, height=5.2)
    axis = figure.subplots()
    plain_axis(axis, x="predicted probability, mean of a bin", y="share of relevant pairs in the bin")
    axis.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    for (name, found), color, marker in zip(named.items(), SERIES, _MARKERS, strict=False):
        xs, ys = [one.predicted for one in found.bins], [one.observed for one in found.bins]
        n_pairs = sum(one.n_pairs for one in found.bins)
        sizes = [24 + 260 * (one.n_pairs / n_pairs) ** 0.5 for one in found.bins]
        axis.plot(xs, ys, color=color, linewidth=1.4, alpha=0.8)
        label = f"{name}: error {found.expected_calibration_error:.3f}"
        axis.scatter(xs, ys, s=sizes, color=color, marker=marker, alpha=0.75, linewidths=0)
        axis.plot([], [], color=color, marker=marker, label=label)
    axis.set_xlim(-0.04, 1.04)
    axis.set_ylim(-0.04, 1.04)
    axis.set_aspect("equal")
    figure.legend(loc="outside upper center", frameon=False, labelcolor=INK, fontsize=9)
    return figure
