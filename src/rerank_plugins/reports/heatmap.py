"""The grid as a heat map, with first stages as rows and rerankers as columns."""

from __future__ import annotations

import math
from typing import Any

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.reports.style import INK, new_figure
from rerank_plugins.reports.systems import Scene, first_stage_of

__all__ = ["heatmap_figure", "heatmap_values"]

_DARK = 0.55


def heatmap_values(scene: Scene) -> tuple[list[str], list[str], list[list[float]]]:
    """Return first stages, rerankers and means over the datasets; NaN where a pair was not run everywhere.

    Of systems that differ in ``top_k`` or ``top_n`` only, the one with the highest counts.
    """
    cells = scene.deepest().complete_systems()
    stages = {first_stage_of(system): scene.names.stage(system) for system in cells}
    rerankers = sorted({system.reranker for system in cells}, key=lambda name: (name is not None, name or ""))
    by_key = {(first_stage_of(system), system.reranker): scene.mean(found) for system, found in cells.items()}
    values = [[by_key.get((stage, reranker), math.nan) for reranker in rerankers] for stage in stages]
    columns = [scene.names.model(name) if name else "no reranker" for name in rerankers]
    return list(stages.values()), columns, values


@checked_call()
def heatmap_figure(scene: Scene) -> Any:
    """Return the heat map; the best of each row is in bold.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    rows, columns, values = heatmap_values(scene)
    figure = new_figure(width=2.6 + 1.35 * len(columns), height=1.3 + 0.46 * len(rows))
    axis = figure.subplots()
    known = [value for row in values for value in row if not math.isnan(value)]
    low, high = min(known), max(known)
    image = axis.imshow(values, cmap="YlGnBu", aspect="auto", vmin=low, vmax=high if high > low else low + 1)
    for y, row in enumerate(values):
        best = max((round(value, 3) for value in row if not math.isnan(value)), default=math.nan)
        for x, value in enumerate(row):
            share = (value - low) / (high - low) if high > low else 0.0
            weight = "bold" if round(value, 3) == best else "normal"
            # Not the page's text colour: the background is the map's own colour on light and dark pages.
            color = "#ffffff" if share > _DARK else "#101418"
            text = "–" if math.isnan(value) else f"{value:.3f}"
            axis.text(x, y, text, ha="center", va="center", color=color, weight=weight, fontsize=10)
    axis.set_xticks(range(len(columns)), [_folded(name) for name in columns], color=INK, fontsize=9)
    axis.set_yticks(range(len(rows)), rows, color=INK, fontsize=9)
    axis.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axis.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axis, shrink=0.9, pad=0.02, aspect=14)
    bar.set_label(scene.measure, color=INK, fontsize=9)
    bar.ax.tick_params(colors=INK, labelsize=8, length=2)
    bar.outline.set_visible(False)
    return figure


def _folded(name: str) -> str:
    """Break a long name at the hyphen nearest to its middle."""
    places = [i for i, letter in enumerate(name) if letter in "-_"]
    if len(name) <= 16 or not places:
        return name
    cut = min(places, key=lambda i: abs(i - len(name) / 2)) + 1
    return f"{name[:cut]}\n{name[cut:]}"
