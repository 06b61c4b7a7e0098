"""The parts of a document that answer a query: its sentences, each scored by the model itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rerank_plugins.serving.outcomes import FoundSpan
from rerank_plugins.serving.requests import Spans

__all__ = ["chosen_spans", "sentence_spans"]

_MOST_PARTS = 64
"""Parts of a document that are scored at most; in a longer one neighbours are taken together."""

_END = re.compile(r"(?<=[.!?])[\s]+|(?<=[。！？])\s*|\s*\n\s*")


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Return ``[start, end)`` of each sentence in code points, white space around it left out."""
    spans = []
    start = 0
    for end, following in [*((match.start(), match.end()) for match in _END.finditer(text)), (len(text), len(text))]:
        part = text[start:end]
        bare = part.strip()
        if bare:
            first = start + len(part) - len(part.lstrip())
            spans.append((first, first + len(bare)))
        start = following
    size = -(-len(spans) // _MOST_PARTS)
    return [(group[0][0], group[-1][1]) for group in (spans[at : at + size] for at in range(0, len(spans), size or 1))]


def chosen_spans(parts: Sequence[tuple[int, int]], chances: Sequence[float], wanted: Spans) -> list[FoundSpan]:
    """Return the parts that are good enough, best first.

    Args:
        parts: The parts of a document.
        chances: Their probabilities.
        wanted: The rule.
    """
    pairs = zip(parts, chances, strict=True)
    found = [FoundSpan(start, end, chance) for (start, end), chance in pairs if chance >= wanted.threshold]
    return sorted(found, key=lambda one: (-one.score, one.start))[: wanted.most]
