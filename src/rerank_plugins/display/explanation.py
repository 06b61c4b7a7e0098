"""A text whose words are coloured by what they gave to a score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rerank_plugins.display.hidden import escaped

__all__ = ["LEGEND", "Span", "coloured_text", "explanation_html", "span_style"]

_HELPS, _HURTS = "0, 114, 178", "213, 94, 0"
LEGEND = "font-size: 0.85em; opacity: 0.8;"


class Span(Protocol):
    """A part of a text, and how much of its score is the part's."""

    @property
    def start(self) -> int:
        """Its first character."""
        ...

    @property
    def end(self) -> int:
        """Behind its last character."""
        ...

    @property
    def drop(self) -> float:
        """How much of the score."""
        ...


def explanation_html(*, query: str, text: str, score: float, spans: Sequence[Span]) -> str:
    """Return the text with each span coloured: blue if the score falls without it, orange if it rises.

    Args:
        query: The question.
        text: What was scored.
        score: Its raw score.
        spans: Parts of the text in order, with the fall of the score when they are left out.
    """
    colored, most = coloured_text(text, spans)
    legend = (
        f"raw score {score:.2f}. Without a <span {_style(_HELPS, 0.6)}>blue</span> part the score falls, without an "
        f"<span {_style(_HURTS, 0.6)}>orange</span> one it rises; the strongest colour is {most:.2f}."
    )
    return f'<div><p><b>{escaped(query)}</b></p>{colored}<p style="{LEGEND}">{legend}</p></div>'


def coloured_text(text: str, spans: Sequence[Span]) -> tuple[str, float]:
    """Return a paragraph with each span coloured by its ``drop``, and the largest of these.

    Args:
        text: The whole text.
        spans: Parts of it, in order; what overlaps an earlier one is shown once.
    """
    most = max((abs(span.drop) for span in spans), default=0.0)
    parts: list[str] = []
    place = 0
    for span in spans:
        if span.start < place:
            continue
        parts.append(escaped(text[place : span.start]))
        parts.append(_colored(text[span.start : span.end], span.drop, share=abs(span.drop) / (most or 1.0)))
        place = span.end
    parts.append(escaped(text[place:]))
    return f'<p style="line-height: 1.9; white-space: pre-wrap;">{"".join(parts)}</p>', most


def span_style(alpha: float) -> str:
    """Return the style of what raises a score."""
    return _style(_HELPS, alpha)


def _colored(text: str, drop: float, *, share: float) -> str:
    return f'<span title="{drop:+.2f}" {_style(_HELPS if drop > 0 else _HURTS, 0.75 * share)}>{escaped(text)}</span>'


def _style(color: str, alpha: float) -> str:
    return f'style="background: rgba({color}, {alpha:.2f}); border-radius: 0.2em; padding: 0.1em 0;"'
