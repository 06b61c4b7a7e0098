"""A text whose tokens are coloured by what they gave to a late-interaction score, and who answered whom in a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rerank_plugins.display.explanation import LEGEND, Span, coloured_text, span_style
from rerank_plugins.display.hidden import escaped

__all__ = ["matches_html"]

_CELL = "text-align: left; padding: 0.1em 0.8em 0.1em 0;"
_FILLED = "opacity: 0.6; font-style: italic;"


class _Match(Protocol):
    @property
    def query_token(self) -> str: ...
    @property
    def query_span(self) -> tuple[int, int] | None: ...
    @property
    def is_expansion(self) -> bool: ...
    @property
    def document_token(self) -> str: ...
    @property
    def document_span(self) -> tuple[int, int] | None: ...
    @property
    def similarity(self) -> float: ...
    @property
    def share(self) -> float: ...


def matches_html(*, query: str, text: str, score: float, spans: Sequence[Span], matches: Sequence[_Match]) -> str:
    """Return the text with each token that answered coloured by what it gave, and a row for each query vector.

    Args:
        query: The question.
        text: What was scored.
        score: Its raw score.
        spans: Tokens of the text in order, with what they gave.
        matches: The best match of each of the query's vectors, in order.
    """
    coloured, most = coloured_text(text, spans)
    legend = (
        f"raw score {score:.2f}: the sum of what each query vector's best match gave. A "
        f"<span {span_style(0.6)}>blue</span> token answered one or more of them; the strongest colour is {most:.2f}. "
        "Rows in italics are tokens that fill the query up: the model makes their vectors of the whole query."
    )
    rows = "".join(_row(one, query=query, text=text) for one in matches)
    head = "".join(f'<th style="{_CELL}">{one}</th>' for one in ("query", "answered by", "similarity", "share"))
    table = f"<details><summary>{len(matches)} matches</summary><table><tr>{head}</tr>{rows}</table></details>"
    return f'<div><p><b>{escaped(query)}</b></p>{coloured}<p style="{LEGEND}">{legend}</p>{table}</div>'


def _row(one: _Match, *, query: str, text: str) -> str:
    query_word = _spelled(one.query_token, one.query_span, query)
    answer = _spelled(one.document_token, one.document_span, text)
    cells = (query_word, answer, f"{one.similarity:.3f}", f"{one.share:.3f}")
    style = f' style="{_FILLED}"' if one.is_expansion else ""
    columns = "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells)
    return f"<tr{style}>{columns}</tr>"


def _spelled(token: str, span: tuple[int, int] | None, text: str) -> str:
    """Return the characters that a token was made from; the vocabulary's spelling of a special one."""
    return f"<code>{escaped(token)}</code>" if span is None else escaped(text[span[0] : span[1]])
