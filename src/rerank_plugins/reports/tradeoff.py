"""A chart of quality against latency: the cost and the gain of a second stage."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.evaluation.results import System
from rerank_plugins.reports.style import INK, MUTED, SERIES, new_figure, plain_axis, round_ticks
from rerank_plugins.reports.systems import Scene, first_stage_of

__all__ = ["TradeOff", "trade_offs", "tradeoff_figure"]

_MARKERS = "osD^vPX<>*"


@dataclass(frozen=True, slots=True)
class TradeOff:
    """One system: mean over the datasets of its median latency and of its quality."""

    system: System
    latency_ms: float
    quality: float


def trade_offs(scene: Scene) -> list[TradeOff]:
    """Return the systems whose latency was measured on every dataset."""
    return [
        TradeOff(system, fmean(cell.latency.p50_ms for cell in cells if cell.latency), scene.mean(cells))
        for system, cells in scene.complete_systems().items()
        if all(cell.latency for cell in cells)
    ]


@checked_call()
def tradeoff_figure(scene: Scene) -> Any:
    """Return a picture with a point for each system: shape by first stage, colour by reranker.

    A thin line joins a first stage to what reranks it; the grey steps are the best quality that any
    system reaches within a time.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    points = trade_offs(scene)
    stages = list(dict.fromkeys(first_stage_of(point.system) for point in points))
    rerankers = list(dict.fromkeys(point.system.reranker for point in points if point.system.reranker))
    colors: dict[str | None, str] = {None: MUTED}
    colors.update({name: SERIES[i % len(SERIES)] for i, name in enumerate(rerankers)})
    markers = {stage: _MARKERS[i % len(_MARKERS)] for i, stage in enumerate(stages)}
    figure = new_figure(width=7.2, height=4.4 + 0.2 * (1 + max(len(stages), len(colors))))
    axis = figure.subplots()
    quality = f"{scene.measure}, mean of datasets" if len(scene.datasets) > 1 else scene.measure
    plain_axis(axis, x="median time of a query, both stages, ms (logarithmic)", y=quality)
    axis.set_xscale("log")
    _draw_frontier(axis, points)
    for point in points:
        _draw_gain(axis, point, points, color=colors[point.system.reranker])
        marker, color = markers[first_stage_of(point.system)], colors[point.system.reranker]
        axis.plot(point.latency_ms, point.quality, marker=marker, color=color, markersize=8, markeredgecolor="none")
    axis.margins(0.08)
    round_ticks(axis)
    names = {first_stage_of(point.system): scene.names.stage(point.system) for point in points}
    left = [_handle("", INK, "Colour: reranker")]
    left += [_handle("o", color, scene.names.model(model) if model else "none") for model, color in colors.items()]
    right = [_handle("", INK, "Shape: first stage"), *(_handle(markers[stage], INK, names[stage]) for stage in stages)]
    # Below the axis, so that the picture stays narrow; matplotlib fills columns of equal length one after the other.
    n_lines = max(len(left), len(right))
    handles = [one for column in (left, right) for one in column + [_handle("", INK, "")] * (n_lines - len(column))]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, labelcolor=INK, fontsize=9)
    return figure


def _draw_gain(axis: Any, point: TradeOff, points: list[TradeOff], *, color: str) -> None:
    if point.system.reranker is None:
        return
    for other in points:
        same_first = first_stage_of(other.system) == first_stage_of(point.system)
        if other.system.reranker is None and same_first:
            xs, ys = [other.latency_ms, point.latency_ms], [other.quality, point.quality]
            axis.plot(xs, ys, color=color, linewidth=0.9, alpha=0.45, zorder=1)


def _draw_frontier(axis: Any, points: list[TradeOff]) -> None:
    best, xs, ys = float("-inf"), [], []
    for point in sorted(points, key=lambda one: (one.latency_ms, -one.quality)):
        if point.quality > best:
            best = point.quality
            xs.append(point.latency_ms)
            ys.append(best)
    if len(xs) > 1:
        axis.step(xs, ys, where="post", color=MUTED, linewidth=5, alpha=0.25, zorder=0, solid_capstyle="round")


def _handle(marker: str, color: str, label: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], marker=marker, color=color, linestyle="", markersize=7, label=label)
