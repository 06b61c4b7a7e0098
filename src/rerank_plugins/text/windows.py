"""Splits long documents into overlapping windows of tokens, with the characters that each one covers.

The rule is BCEmbedding's (``BCEmbedding/models/utils.py``, ``reranker_tokenize_preproc``): windows of
``room`` tokens, each starting ``min(overlap, room // 4)`` tokens before the end of the one before; the
last one is short, not shifted back.
"""

from __future__ import annotations

from rerank_plugins.text.tokenizer import TokenizedText
from rerank_plugins.types import WindowSpan

__all__ = ["character_span", "window_ranges"]


def window_ranges(n_tokens: int, *, room: int, overlap: int) -> list[tuple[int, int]]:
    """Return the half-open token ranges of the windows of one document.

    Args:
        n_tokens: Tokens of the document.
        room: Tokens a window can hold, at least 1.
        overlap: Tokens neighbouring windows share, capped at a quarter of ``room``.

    Returns:
        At least one range; a document that fits is one range, also when it is empty.
    """
    if n_tokens <= room:
        return [(0, n_tokens)]
    shared = min(overlap, room // 4)
    ranges = []
    start = 0
    while True:
        end = min(start + room, n_tokens)
        ranges.append((start, end))
        if end == n_tokens:
            return ranges
        start = end - shared


def character_span(text: TokenizedText, start: int, end: int) -> WindowSpan:
    """Return the characters that tokens ``start`` to ``end`` (exclusive) were made from."""
    covered = text.offsets[start:end]
    if not covered:
        return WindowSpan(0, 0)
    return WindowSpan(min(first for first, _ in covered), max(last for _, last in covered))
