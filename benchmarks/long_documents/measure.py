"""Whether the answering passage is among what is returned: at five results, and within a number of characters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rerank_plugins.types import WindowSpan

__all__ = ["Returned", "characters_of", "is_found", "within"]

_LEAST_SHARE = 0.5

Returned = tuple[str, WindowSpan]
"""Document id and characters of one result."""


@dataclass(slots=True)
class _Taken:
    """Characters of each document that were returned, as disjoint spans."""

    spans: dict[str, list[WindowSpan]]

    def new_parts(self, document: str, span: WindowSpan) -> list[WindowSpan]:
        """Return the parts of a span that were not returned before."""
        parts = [span]
        for old in self.spans.get(document, []):
            parts = [
                piece
                for one in parts
                for piece in (
                    WindowSpan(one.start, min(one.end, old.start)),
                    WindowSpan(max(one.start, old.end), one.end),
                )
                if piece.end > piece.start
            ]
        return parts


def within(results: Iterable[Returned], characters: int) -> list[Returned]:
    """Return the results, best first, until they have so many different characters; the last one is cut there.

    Text that is in two results counts once, as a system would show it.
    """
    taken = _Taken({})
    kept: list[Returned] = []
    left = characters
    for document, span in results:
        for part in taken.new_parts(document, span):
            shown = WindowSpan(part.start, min(part.end, part.start + left))
            left -= shown.end - shown.start
            kept.append((document, shown))
            taken.spans.setdefault(document, []).append(shown)
            if not left:
                return kept
    return kept


def characters_of(results: Sequence[Returned]) -> int:
    """Return how many different characters results have."""
    return sum(span.end - span.start for _, span in within(results, 10**9))


def is_found(results: Iterable[Returned], document: str, start: int, end: int) -> bool:
    """Return whether at least half of a gold passage is in the results, which do not overlap."""
    shared = sum(max(0, min(span.end, end) - max(span.start, start)) for one, span in results if one == document)
    return shared >= _LEAST_SHARE * (end - start)
