"""The style of pictures, and saving a figure to a file or as a part of a page.

Only :class:`matplotlib.figure.Figure` objects are used: no pyplot, no current figure, no window.
"""

from __future__ import annotations

import io
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rerank_plugins.checks.optional import import_extra
from rerank_plugins.system.files import write_with

__all__ = [
    "ACCENT", "BAD", "DARK_SERIES", "INK", "MUTED", "SERIES",
    "label_box", "new_figure", "plain_axis", "round_ticks", "save_png", "svg",
]  # fmt: skip

# Okabe and Ito's palette, distinguishable with any colour vision, without its black and yellow: these eight
# are read on white and on near black alike.
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A6FD1", "#7A7A7A")
# The same hues, lighter where they would be dim on a dark page.
DARK_SERIES = ("#4BA9E3", "#F28C3F", "#35C79A", "#E09CC4", "#F0B53A", "#7CC7F2", "#AE98E8", "#A0A0A0")
ACCENT, BAD = SERIES[0], SERIES[1]

# Colours that a page replaces by its own, so that a picture follows the page's light or dark scheme.
INK, MUTED = "#24292f", "#8c959f"
_PAPER = "#fffffe"
_PAGE_INKS = {INK: "var(--ink)", MUTED: "var(--muted)", _PAPER: "var(--paper)"} | {
    color.lower(): f"var(--series-{place})" for place, color in enumerate(SERIES)
}

# Verdana has DejaVu Sans's widths, so labels keep their room where DejaVu is missing.
_FONTS = "DejaVu Sans, Verdana, sans-serif"


def new_figure(*, width: float, height: float) -> Any:
    """Return an empty figure with automatic layout.

    Args:
        width: Inches.
        height: Inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figures = import_extra("matplotlib.figure", extra="evaluation")
    figure = figures.Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_facecolor(_PAPER)
    return figure


def plain_axis(axis: Any, *, x: str = "", y: str = "", grid: str = "both") -> None:
    """Give an axis its labels and light grid lines, and remove everything else.

    Args:
        axis: A matplotlib axis.
        x: Label with its unit.
        y: Label with its unit.
        grid: ``x``, ``y``, ``both``, or empty for none.
    """
    axis.set_xlabel(x, color=INK)
    axis.set_ylabel(y, color=INK)
    axis.tick_params(which="both", colors=INK, length=3, color=MUTED)
    axis.set_facecolor("none")
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(MUTED)
    axis.set_axisbelow(True)
    if grid:
        axis.grid(visible=True, axis=grid, color=MUTED, alpha=0.25, linewidth=0.7)


def round_ticks(axis: Any) -> None:
    """Give a logarithmic x axis ticks at 1, 2 and 5 times the powers of ten, written out."""
    low, high = axis.get_xlim()
    steps = [digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5)]
    ticks = [x for x in steps if low <= x <= high]
    if len(ticks) > 8:
        ticks = [x for x in ticks if f"{x:e}".startswith("1")]
    axis.set_xticks(ticks, [f"{x:,g}" for x in ticks])
    axis.set_xticks([], minor=True)


def label_box() -> dict[str, Any]:
    """Return the background of a label that is drawn over lines."""
    return {"boxstyle": "round,pad=0.25", "facecolor": _PAPER, "edgecolor": "none", "alpha": 0.85}


def save_png(figure: Any, path: Path) -> Path:
    """Save a figure on white paper."""
    with _as_written(figure, {}):
        return write_with(path, lambda place: figure.savefig(place, format="png", dpi=150))


def svg(figure: Any, *, name: str) -> str:
    """Return a figure as an SVG element for a page; its text stays text.

    Args:
        figure: A matplotlib figure.
        name: What this picture is, unlike every other one on the page: ids begin with it.
    """
    buffer = io.StringIO()
    with _as_written(figure, {"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r"(url\(#|href=\"#)", rf"\g<1>{name}-", text)
    text = re.sub(r"'DejaVu Sans'(, [^;\"]*?)?(?=[;\"])", _FONTS, text)
    for ink, variable in _PAGE_INKS.items():
        text = text.replace(ink, variable)
    # The view box scales; a fixed size would not.
    return re.sub(r'(<svg\b[^>]*?) width="[^"]*"| height="[^"]*pt"', r"\1", text, count=2)


def _as_written(figure: Any, settings: dict[str, Any]) -> AbstractContextManager[None]:
    """Return the context to save a figure in. Names may contain dollar signs, which must not be read as formulas."""
    matplotlib = import_extra("matplotlib", extra="evaluation")
    texts = import_extra("matplotlib.text", extra="evaluation")
    for text in figure.findobj(texts.Text):
        text.set_parse_math(False)
    # For the texts of ticks, which are made while drawing.
    context: AbstractContextManager[None] = matplotlib.rc_context({**settings, "text.parse_math": False})
    return context
