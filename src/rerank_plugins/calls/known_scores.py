"""Raw scores without what only stands for one: a document that a chat model said nothing of scores 0 in a ranking."""

from __future__ import annotations

from collections.abc import Sequence

from rerank_plugins.calls.driving import drive
from rerank_plugins.calls.facts import RerankerFacts

__all__ = ["known_scores"]


def known_scores(reranker: RerankerFacts, pairs: Sequence[tuple[str, str | None]]) -> list[float | None]:
    """Return what ``score()`` returns, and None for pairs whose score did not come.

    Those are of a chat model, also as a member of an ensemble: its call failed, was not made because of a limit, or its
    answer could not be read.

    Args:
        reranker: Scores the pairs.
        pairs: See :meth:`~rerank_plugins.reranker.Reranker.score`.

    Raises:
        RerankPluginsError: As ``score()``.
    """
    return drive(reranker._backend, reranker._calls.known_scores(pairs))
