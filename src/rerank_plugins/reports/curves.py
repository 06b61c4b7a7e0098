"""Growth and depth curves: quality against the corpus size, or against the number of documents reranked."""

from __future__ import annotations

from typing import Any

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.evaluation.results import Curve, CurvePoint
from rerank_plugins.reports.style import INK, MUTED, SERIES, new_figure, plain_axis

__all__ = ["AXIS_LABELS", "curve_figure"]

AXIS_LABELS = {
    "growth": "documents in the corpus (logarithmic)",
    "depth": "documents retrieved and reranked, top_k (logarithmic)",
}
_MARKERS = "osD^vPX*"


@checked_call()
def curve_figure(curve: Curve) -> Any:
    """Return a picture with one line per system and a band for its confidence interval.

    A point without an interval is drawn without a band.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(width=7.2, height=4.4)
    axis = figure.subplots()
    plain_axis(axis, x=AXIS_LABELS.get(curve.kind, curve.kind), y=curve.measure)
    for place, (name, points) in enumerate(curve.lines.items()):
        _draw(axis, name, points, place=place)
    xs = sorted({point.x for points in curve.lines.values() for point in points})
    # The scale is logarithmic because sizes double; zero has no place on it.
    if xs and xs[0] > 0:
        axis.set_xscale("log")
    shown = _ticks(xs)
    axis.set_xticks(shown, [f"{x:,}" for x in shown])
    axis.set_xticks([], minor=True)
    axis.margins(x=0.04)
    if curve.lines:
        figure.legend(loc="outside upper center", ncols=2, frameon=False, labelcolor=INK, fontsize=9)
    return figure


def _draw(axis: Any, name: str, points: tuple[CurvePoint, ...], *, place: int) -> None:
    color = SERIES[place % len(SERIES)]
    xs = [point.x for point in points]
    ys = [point.estimate.value for point in points]
    axis.plot(xs, ys, color=color, marker=_MARKERS[place % len(_MARKERS)], markersize=5, linewidth=1.9, label=name)
    banded = [
        (point.x, point.estimate.low, point.estimate.high)
        for point in points
        if point.estimate.low is not None and point.estimate.high is not None
    ]
    if len(banded) > 1:
        axis.fill_between(*zip(*banded, strict=True), color=color, alpha=0.16, linewidth=0)
    elif banded:
        x, low, high = banded[0]
        axis.plot([x, x], [low, high], color=MUTED, linewidth=1)


def _ticks(xs: list[int]) -> list[int]:
    """Return the sizes to label: on a logarithmic scale, no two are closer than a seventh of the range."""
    if len(xs) <= 1 or xs[0] <= 0:
        return xs
    apart = (xs[-1] / xs[0]) ** (1 / 9)
    kept = [xs[-1]]
    for x in reversed(xs[:-1]):
        if kept[-1] / x >= apart:
            kept.append(x)
    return kept[::-1]
