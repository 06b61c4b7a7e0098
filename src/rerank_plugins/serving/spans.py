"""The parts of a document that answer a query: its sentences, each scored by the model itself."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rerank_plugins.reranker import Reranker
from rerank_plugins.serving.outcomes import FoundSpan
from rerank_plugins.serving.requests import RerankRequest, Spans
from rerank_plugins.serving.taken import together, with_usage
from rerank_plugins.types import CallUsage, Ranking

__all__ = ["chosen_spans", "found_spans", "sentence_spans"]

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


async def found_spans(
    reranker: Reranker, request: RerankRequest, ranking: Ranking, *, deadline_s: float
) -> tuple[dict[int, list[FoundSpan]], CallUsage | None]:
    """Return the parts of each document that a request asks for, and what they and the ranking took together.

    All sentences of all documents are one call.

    Args:
        reranker: Scores them.
        request: Says which are wanted.
        ranking: The documents.
        deadline_s: Seconds for it.
    """
    if request.spans is None:
        return {}, ranking.usage
    parts = {one.index: sentence_spans(one.document or "") for one in ranking}
    texts = {one.index: one.document or "" for one in ranking}
    pairs = [(request.query, texts[index][start:end]) for index, spans in parts.items() for start, end in spans]
    scores, usages = [], [ranking.usage]  # type: list[float], list[CallUsage | None]
    if pairs:
        scores, usage = await with_usage(reranker.ascore(pairs, deadline_s=deadline_s), model=reranker.spec.id)
        usages.append(usage)
    chances = iter([reranker.probability(score) for score in scores])
    found = {
        index: chosen_spans(spans, [next(chances) for _ in spans], request.spans) for index, spans in parts.items()
    }
    return found, together(usages)
