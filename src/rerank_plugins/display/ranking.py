"""A ranking as an HTML table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rerank_plugins.display.hidden import escaped

__all__ = ["ranking_html"]

_SHOWN_ROWS = 50
_SHOWN_CHARACTERS = 320
_CONTEXT = 60

# Half-transparent colours are read on a light and on a dark notebook alike.
_UP, _DOWN, _SAME = "#0a8a6a", "#d05a14", "#8c8c8c"
_BAR = "rgba(0, 114, 178, 0.30)"
_MARK = "background: rgba(230, 159, 0, 0.28); color: inherit;"
_CELL = "text-align: left; vertical-align: top; padding: 0.25em 0.7em;"
_NUMBER = "text-align: right; vertical-align: top; padding: 0.25em 0.7em; font-variant-numeric: tabular-nums;"


class _Span(Protocol):
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


class _Ranked(Protocol):
    """What is shown of a :class:`rerank_plugins.RankedDocument`."""

    @property
    def index(self) -> int: ...
    @property
    def rank(self) -> int: ...
    @property
    def score(self) -> float: ...
    @property
    def probability(self) -> float: ...
    @property
    def document(self) -> str | None: ...
    @property
    def window(self) -> _Span | None: ...
    @property
    def truncated(self) -> bool: ...


def ranking_html(documents: Sequence[_Ranked]) -> str:
    """Return a table: rank, where the document came from, score, probability, and the text.

    The rank before is the document's place in the list that was ranked. The characters that the score was
    read from are marked; of a long text only what surrounds them is shown.

    Args:
        documents: Best first; of a very long list the first 50 are shown.
    """
    if not len(documents):
        return "<p><em>no document</em></p>"
    heads = [("rank", _NUMBER), ("before", _NUMBER), ("score", _NUMBER), ("probability", _NUMBER), ("document", _CELL)]
    head = "".join(f'<th scope="col" style="{style}">{name}</th>' for name, style in heads)
    rows = "\n".join(_row(one) for one in documents[:_SHOWN_ROWS])
    more = len(documents) - _SHOWN_ROWS
    note = f"<p><em>and {more} more</em></p>" if more > 0 else ""
    table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>"
    return f'<div style="overflow-x: auto">{table}</div>{note}'


def _row(one: _Ranked) -> str:
    width = max(0.0, min(1.0, one.probability)) * 100
    bar = f"background: linear-gradient(to right, {_BAR} {width:.0f}%, transparent {width:.0f}%);"
    probability = f'<span style="display: inline-block; min-width: 5em; {bar}">{one.probability:.3f}</span>'
    score = "" if _is_blank(one) else f"{one.score:.2f}"
    return (
        f'<tr><td style="{_NUMBER}"><b>{one.rank}</b></td><td style="{_NUMBER}">{_move(one)}</td>'
        f'<td style="{_NUMBER}">{score}</td><td style="{_NUMBER}">{probability}</td>'
        f'<td style="{_CELL}">{_text(one)}</td></tr>'
    )


def _move(one: _Ranked) -> str:
    before = one.index + 1
    if before == one.rank:
        return f'{before} <span style="color: {_SAME}">=</span>'
    arrow, color = ("▲", _UP) if before > one.rank else ("▼", _DOWN)
    return f'{before} <span style="color: {color}">{arrow}{abs(before - one.rank)}</span>'


def _is_blank(one: _Ranked) -> bool:
    return one.document is None or not one.document.strip()


def _text(one: _Ranked) -> str:
    if one.document is None or _is_blank(one):
        return "<em>blank</em>"
    shown = _whole(one.document) if one.window is None else _excerpt(one.document, one.window)
    note = ' <em title="Some of the text was never read by the model.">(truncated)</em>' if one.truncated else ""
    return shown + note


def _whole(text: str) -> str:
    return escaped(text) if len(text) <= _SHOWN_CHARACTERS else escaped(text[: _SHOWN_CHARACTERS - 1]) + "…"


def _excerpt(text: str, window: _Span) -> str:
    """Return the window, its middle left out if it is long, with some characters on either side."""
    start, end = max(window.start - _CONTEXT, 0), min(window.end + _CONTEXT, len(text))
    before, inside, after = text[start : window.start], text[window.start : window.end], text[window.end : end]
    if len(inside) > _SHOWN_CHARACTERS:
        half = _SHOWN_CHARACTERS // 2
        inside = f"{inside[:half]} … {inside[-half:]}"
    marked = f'<mark style="{_MARK}">{escaped(inside)}</mark>'
    return ("…" if start else "") + escaped(before) + marked + escaped(after) + ("…" if end < len(text) else "")
