"""Sentences that were found, with their neighbours, as passages. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

from rerank_plugins.types import WindowSpan

__all__ = ["FoundPassage", "extent", "packed", "passages_of"]


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


def extent(spans: Sequence[WindowSpan]) -> WindowSpan:
    """Return the characters from the first of some sentences to where the last ends: a long one may hold short ones."""
    return WindowSpan(spans[0].start, max(one.end for one in spans))


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

    They touch where no sentence or no character lies between them.

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
    joined: list[tuple[int, str, WindowSpan, list[int]]] = []
    for document, hits in by_document.items():
        joined += [
            (min(places), document, span, sorted(places))
            for span, places in _joined(hits, chunks[document], before, after)
        ]
    return [
        _passage(rank, document, span, [found[place] for place in places], texts, chunks)
        for rank, (_, document, span, places) in enumerate(sorted(joined, key=itemgetter(0)), start=1)
    ]


def _joined(
    hits: Sequence[tuple[int, int]], spans: Sequence[WindowSpan], before: int, after: int
) -> list[tuple[WindowSpan, list[int]]]:
    """Return the characters of each passage of one document, and the places of the sentences found in it.

    Args:
        hits: Number of each sentence, and its place among all that were found.
        spans: The document's sentences, in order of their first character; a caller's own may overlap.
        before: Sentences before each.
        after: Sentences after it.
    """
    passages: list[tuple[WindowSpan, list[int]]] = []
    reached = -1
    for number, place in sorted(hits):
        first, last = max(number - before, 0), min(number + after, len(spans) - 1)
        span = extent(spans[first : last + 1])
        if passages and (first <= reached + 1 or span.start <= passages[-1][0].end):
            known, places = passages[-1]
            passages[-1] = (extent([known, span]), [*places, place])
        else:
            passages.append((span, [place]))
        reached = last
    return passages


def _passage(
    rank: int,
    document: str,
    span: WindowSpan,
    hits: Sequence[tuple[str, int, float]],
    texts: Mapping[str, str],
    chunks: Mapping[str, Sequence[WindowSpan]],
) -> FoundPassage:
    sentences = tuple(chunks[document][number] for _, number, _ in hits)
    return FoundPassage(document, texts[document][span.start : span.end], rank, hits[0][2], span, sentences)
