"""A backend as somebody else would write one."""

from __future__ import annotations

from collections.abc import Sequence

from rerank_plugins.backends.protocol import SimplePairScorer, reranker_spec


class WordOverlap(SimplePairScorer):
    """Counts the words that query and document have in common."""

    def __init__(self, max_length: int | None = None) -> None:
        self.spec = reranker_spec("acme/word-overlap", max_length=max_length, revision="1", license="MIT")

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return one number per pair."""
        return [float(len(words(query) & words(document))) for query, document in pairs]


def words(text: str) -> set[str]:
    """Return the different words of a text."""
    return set(text.lower().split())
