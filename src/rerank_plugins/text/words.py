"""Texts measured in words, for backends whose tokenizer is not known here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from rerank_plugins.text.letters import WITHOUT_SPACES, marks
from rerank_plugins.text.windows import window_ranges
from rerank_plugins.types import LongDocuments, WindowSpan

__all__ = ["WordPieces", "cut_words", "word_pieces"]


@cache
def _word() -> re.Pattern[str]:
    """Return what a word is: letters and digits; a character of a script without spaces; any other visible sign."""
    alone, after = WITHOUT_SPACES, f"[{marks()}]"
    return re.compile(rf"[{alone}]{after}*|[^\W{alone}]+(?:{after}+[^\W{alone}]*)*|[^\w\s]{after}*")


@dataclass(frozen=True, slots=True)
class WordPieces:
    """A document, split into the pieces that a backend gets.

    Attributes:
        texts: The pieces, in reading order, at least one.
        spans: Their characters in the document.
        truncated: Whether some of the document is in no piece.
    """

    texts: tuple[str, ...]
    spans: tuple[WindowSpan, ...]
    truncated: bool

    @property
    def n_inputs(self) -> int:
        """Number of pieces."""
        return len(self.texts)

    def span(self, winner: int) -> WindowSpan | None:
        """Return the characters of a piece, or None if it is the whole document."""
        return self.spans[winner] if len(self.texts) > 1 or self.truncated else None


def cut_words(text: str, limit: int) -> tuple[str, int]:
    """Return the first words of a text, at most ``limit``, and their number."""
    n_words = 0
    for n_words, match in enumerate(_word().finditer(text), start=1):
        if n_words > limit:
            return text[: match.start()].rstrip(), limit
    return text, n_words


def word_pieces(document: str, *, room: int, long_documents: LongDocuments) -> WordPieces:
    """Return the pieces of a document that a backend gets.

    A word is a run of letters and digits, a character of a script without spaces, or a single sign, each with its
    accents and vowel signs. Windows are made as for tokens, see :func:`~rerank_plugins.text.windows.window_ranges`.

    Args:
        document: The text, not blank.
        room: Words a piece can hold, at least 1.
        long_documents: Whether a document that does not fit is cut or split.
    """
    read = document[: long_documents.max_characters]
    # A word has a character at least: texts that are short enough need no counting.
    words = [] if len(read) <= room else [match.span() for match in _word().finditer(read)]
    if len(words) <= room:
        return WordPieces((read,), (WindowSpan(0, len(read)),), truncated=len(read) < len(document))
    ranges: Sequence[tuple[int, int]] = [(0, room)]
    if long_documents.strategy != "truncate":
        ranges = window_ranges(len(words), room=room, overlap=long_documents.overlap_tokens)
        if long_documents.strategy == "firstp":
            ranges = ranges[:1]
    spans = tuple(WindowSpan(words[first][0], words[last - 1][1]) for first, last in ranges)
    is_all = ranges[-1][1] == len(words) and len(read) == len(document)
    return WordPieces(tuple(read[one.start : one.end] for one in spans), spans, truncated=not is_all)
