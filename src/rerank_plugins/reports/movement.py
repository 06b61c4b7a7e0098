"""A slope chart of how reranking moved the documents of one query."""

from __future__ import annotations

from typing import Any

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count
from rerank_plugins.reports.evidence import QueryMove
from rerank_plugins.reports.style import ACCENT, BAD, INK, MUTED, new_figure

__all__ = ["movement_figure"]

_SHOWN = 20


@checked_call()
def movement_figure(move: QueryMove, *, shown: Count = _SHOWN) -> Any:
    """Return a slope chart: ranks before on the left, after on the right, a line for each document.

    Relevant documents are thick, blue if they rose, vermilion if they fell, dark if they stayed; the others are grey.
    Documents that leave or enter the first ``shown`` end at the line below them.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    before = {key: rank for rank, key in enumerate(move.before, start=1)}
    after = {key: rank for rank, key in enumerate(move.after, start=1)}
    depth = min(shown, max(len(before), len(after)))
    figure = new_figure(width=5.4, height=0.9 + 0.2 * (depth + 1))
    axis = figure.subplots()
    both = [key for key in before if key in after and min(before[key], after[key]) <= depth]
    for key in sorted(both, key=lambda one: one in move.relevant):
        _draw(axis, before[key], after[key], relevant=key in move.relevant, floor=depth + 1)
    has_floor = any(max(before[key], after[key]) > depth for key in both)
    _frame(axis, depth=depth, has_floor=has_floor)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=2, frameon=False, labelcolor=INK, fontsize=9)
    return figure


def _draw(axis: Any, before: int, after: int, *, relevant: bool, floor: int) -> None:
    left, right = min(before, floor), min(after, floor)
    color = _color(before, after) if relevant else MUTED
    width, alpha, layer = (2.6, 1.0, 3) if relevant else (0.9, 0.55, 2)
    axis.plot([0, 1], [left, right], color=color, linewidth=width, alpha=alpha, zorder=layer, solid_capstyle="round")
    size = 6 if relevant else 3
    axis.plot([0, 1], [left, right], color=color, marker="o", markersize=size, linestyle="", alpha=alpha, zorder=layer)
    if not relevant:
        return
    for x, align, rank in ((-0.045, "right", before), (1.045, "left", after)):
        y = min(rank, floor)
        axis.text(x, y, str(rank), ha=align, va="center", color=color, weight="bold", fontsize=9)


def _frame(axis: Any, *, depth: int, has_floor: bool) -> None:
    axis.set_xlim(-0.2, 1.2)
    axis.set_ylim(depth + (1.7 if has_floor else 0.7), 0.3)
    axis.set_xticks([0, 1], ["before", "after"], color=INK)
    ticks = [rank for rank in (1, 5, 10, 15, 20, 30, 40, 50) if rank <= depth]
    labels = [str(rank) for rank in ticks]
    if has_floor:
        ticks, labels = [*ticks, depth + 1], [*labels, "lower"]
        axis.axhline(depth + 0.5, color=MUTED, linewidth=0.8, linestyle=(0, (2, 3)))
    axis.set_yticks(ticks, labels, color=INK, fontsize=9)
    axis.set_ylabel("rank", color=INK)
    axis.tick_params(length=0)
    axis.set_facecolor("none")
    axis.spines[:].set_visible(False)


def _color(before: int, after: int) -> str:
    if before == after:
        return INK
    return ACCENT if after < before else BAD


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D

    named = (
        (ACCENT, 2.6, "relevant, rose"),
        (BAD, 2.6, "relevant, fell"),
        (INK, 2.6, "relevant, stayed"),
        (MUTED, 0.9, "not relevant"),
    )
    return [Line2D([], [], color=color, linewidth=width, label=label) for color, width, label in named]
