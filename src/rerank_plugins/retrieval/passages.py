"""Sentences that were found, with their neighbours, as passages. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rerank_plugins.types import WindowSpan

__all__ = ["FoundPassage", "packed", "passages_of"]


@dataclass(frozen=True, slots=True)
class FoundPassage:
    """A part of a document that a sentence was found in.

    Attributes:
        id: The document's id.
        text: The sentences that were found and their neighbours: ``document[span.start:span.end]``.
        rank: 1 for the best passage.
        score: The highest cosine of its sentences that were found.
        span: Its characters in the document.
        sentences: Characters of the sentences that were found, the best first.
    """

    id: str
    text: str
    rank: int
    score: float
    span: WindowSpan
    sentences: tuple[WindowSpan, ...]


def packed(spans: Sequence[WindowSpan], characters: int) -> list[tuple[int, int]]:
    """Return runs of sentences that have at most so many characters together, as half-open ranges of their numbers.

    A sentence that is longer is a run of its own.
    """
    runs: list[tuple[int, int]] = []
    for number, span in enumerate(spans):
        if runs and span.end - spans[runs[-1][0]].start <= characters:
            runs[-1] = (runs[-1][0], number + 1)
        else:
            runs.append((number, number + 1))
    return runs


def passages_of(
    found: Sequence[tuple[str, int, float]],
    texts: Mapping[str, str],
    chunks: Mapping[str, Sequence[WindowSpan]],
    *,
    before: int,
    after: int,
) -> list[FoundPassage]:
    """Return sentences with their neighbours; those of one document that touch or overlap are one passage.

    Args:
        found: Document id, number of the sentence in it, and score, the best first.
        texts: Document id to text.
        chunks: Document id to the characters of its sentences, in order.
        before: Sentences before each that are shown with it.
        after: Sentences after it likewise.

    Returns:
        The best passage first; ties keep the order in which their sentences were found.
    """
    by_document: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, (document, number, _) in enumerate(found):
        by_document[document].append((number, place))
    joined: list[tuple[int, str, int, int, list[int]]] = []
    for document, hits in by_document.items():
        last = len(chunks[document]) - 1
        ranges: list[tuple[int, int, list[int]]] = []
        for number, place in sorted(hits):
            first, end = max(number - before, 0), min(number + after, last)
            if ranges and first <= ranges[-1][1] + 1:
                start, known, places = ranges[-1]
                ranges[-1] = (start, max(known, end), [*places, place])
            else:
                ranges.append((first, end, [place]))
        joined += [(min(places), document, first, end, sorted(places)) for first, end, places in ranges]
    return [
        _passage(rank, document, (first, end), [found[place] for place in places], texts, chunks)
        for rank, (_, document, first, end, places) in enumerate(sorted(joined), start=1)
    ]


def _passage(
    rank: int,
    document: str,
    ends: tuple[int, int],
    hits: Sequence[tuple[str, int, float]],
    texts: Mapping[str, str],
    chunks: Mapping[str, Sequence[WindowSpan]],
) -> FoundPassage:
    spans = chunks[document]
    span = WindowSpan(spans[ends[0]].start, spans[ends[1]].end)
    sentences = tuple(spans[number] for _, number, _ in hits)
    return FoundPassage(document, texts[document][span.start : span.end], rank, hits[0][2], span, sentences)
