"""The picture: where the relevant documents stood before reranking, and where they stand after."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rerank_plugins.checks.optional import import_extra
from rerank_plugins.evaluation.movements import Movement
from rerank_plugins.system.files import write_with

__all__ = ["save_chart"]

_FIRST = 5
_LETTERS_PER_INCH = 8.5
"""Of the title; matplotlib cuts what is wider than the picture."""

# Blue, vermilion and grey of Okabe and Ito's palette: told apart with any colour vision.
_UP, _DOWN, _SAME = "#0072B2", "#D55E00", "#8C8C8C"
_BAND = "#FCFADF"


def save_chart(groups: Mapping[str, Sequence[Movement]], path: Path, *, title: str, top_k: int) -> Path:
    """Draw one slope chart per group and save it as PNG.

    Args:
        groups: Name to the moves of its relevant documents.
        path: Where to save.
        title: Above everything.
        top_k: The deepest rank there can be.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figures = import_extra("matplotlib.figure", extra="demo")
    width = max(3.6 * len(groups) + 1.2, 7.6)
    figure = figures.Figure(figsize=(width, 6.4), dpi=150, layout="constrained")
    axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axis, (name, moves) in zip(axes, groups.items(), strict=True):
        _draw(axis, moves, top_k=top_k)
        axis.set_title(f"{name}\n{_summary(moves)}", fontsize=10)
    axes[0].set_ylabel("rank of a relevant document (numbers: documents at that rank)")
    figure.suptitle(textwrap.fill(title, int(_LETTERS_PER_INCH * width)), fontsize=12, fontweight="bold")
    figure.legend(handles=_legend(), loc="outside lower center", ncols=4, frameon=False)
    return write_with(path, figure.savefig)


def _draw(axis: Any, moves: Sequence[Movement], *, top_k: int) -> None:
    counts = Counter((move.before, move.after) for move in moves)
    # Losses last: they are few, and must not hide under the gains.
    for (before, after), n in sorted(counts.items(), key=lambda item: item[0][1] - item[0][0]):
        color = _color(before, after)
        axis.plot([0, 1], [before, after], color=color, linewidth=0.8 + 0.7 * n**0.5, alpha=0.75, zorder=2)
    for side, ranks in ((0, [m.before for m in moves]), (1, [m.after for m in moves])):
        _draw_ends(axis, Counter(ranks), side=side)
    axis.set_xticks([0, 1], ["before", "after"])
    axis.set_xlim(-0.28, 1.28)
    # Logarithmic, because the difference between ranks 1 and 2 matters more than that of 19 and 20.
    axis.set_yscale("log")
    axis.set_ylim(max(top_k, _FIRST) * 1.12, 0.86)
    ticks = [rank for rank in (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500, 1000) if rank <= top_k]
    axis.set_yticks(ticks, [str(rank) for rank in ticks])
    axis.set_yticks([], minor=True)
    axis.axhspan(0.86, _FIRST + 0.5, color=_BAND, zorder=0, linewidth=0)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)


def _draw_ends(axis: Any, counts: Counter[int], *, side: int) -> None:
    sign, align = (-1, "right") if side == 0 else (1, "left")
    for rank, n in counts.items():
        area = 12 + 3 * n
        axis.scatter([side], [rank], s=area, color="#333333", zorder=3, linewidths=0)
        place = {"xytext": (sign * (4 + area**0.5 / 2), 0), "textcoords": "offset points"}
        axis.annotate(str(n), (side, rank), ha=align, va="center", fontsize=7.5, **place)


def _color(before: int, after: int) -> str:
    if before == after:
        return _SAME
    return _UP if after < before else _DOWN


def _summary(moves: Sequence[Movement]) -> str:
    n_before = sum(move.before <= _FIRST for move in moves)
    n_after = sum(move.after <= _FIRST for move in moves)
    return f"in the first five: {n_before} before, {n_after} after (of {len(moves)} found)"


def _legend() -> list[Any]:
    lines = import_extra("matplotlib.lines", extra="demo")
    patches = import_extra("matplotlib.patches", extra="demo")
    named = ((_UP, "moved up"), (_SAME, "same rank"), (_DOWN, "moved down"))
    handles = [lines.Line2D([], [], color=color, linewidth=2.5, label=label) for color, label in named]
    return [*handles, patches.Patch(facecolor=_BAND, edgecolor="#B9B27A", label=f"first {_FIRST} ranks")]
