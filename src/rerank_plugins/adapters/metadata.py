"""What a reranked result carries: the same keys in every framework, with values that JSON can hold."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rerank_plugins.types import CallUsage, RankedDocument

__all__ = [
    "CHAT_KEY",
    "DETAIL_KEYS",
    "FALLBACK_KEY",
    "PROBABILITY_KEY",
    "RANK_KEY",
    "RETRIEVAL_RANK_KEY",
    "RETRIEVAL_SCORE_KEY",
    "STAGE_KEY",
    "TRUNCATED_KEY",
    "WINDOW_KEY",
    "details_of",
]

RETRIEVAL_SCORE_KEY = "retrieval_score"
"""The score that the first stage gave; absent if it gave none."""

RETRIEVAL_RANK_KEY = "retrieval_rank"
"""The rank in the first stage, 1 for its best."""

PROBABILITY_KEY = "rerank_probability"
"""The score in [0, 1]."""

RANK_KEY = "rerank_rank"
"""1 for the best result."""

WINDOW_KEY = "rerank_window"
"""``[start, end]``, the characters of the text that the score was read from; absent when the whole text was read, or
when no window won alone."""

TRUNCATED_KEY = "rerank_truncated"
"""Whether some of the text was never read by the model."""

STAGE_KEY = "rerank_stage"
"""The stage of a cascade that placed the result (of an ensemble the last member); absent for other models, and for a
result that no stage scored."""

CHAT_KEY = "rerank_chat"
"""What chat models were asked in the call that ranked the result, and what of their answers was put right: the fields
of :class:`~rerank_plugins.types.ChatUsage`, the same in each result of a call; absent where no chat model was asked."""

FALLBACK_KEY = "rerank_fallback"
"""Why a result was not reranked and keeps its retrieval order: ``deadline``, ``overloaded``, or ``unavailable``
(a service that does not answer)."""

DETAIL_KEYS = (PROBABILITY_KEY, RANK_KEY, WINDOW_KEY, TRUNCATED_KEY, STAGE_KEY, CHAT_KEY, FALLBACK_KEY)
"""What one reranking writes about itself, and the next one replaces."""


def details_of(ranked: RankedDocument, usage: CallUsage | None = None) -> dict[str, Any]:
    """Return what is kept about a result.

    Args:
        ranked: The result.
        usage: What the call took that ranked it; None if that is not known.
    """
    details: dict[str, Any] = {
        PROBABILITY_KEY: ranked.probability,
        RANK_KEY: ranked.rank,
        TRUNCATED_KEY: ranked.truncated,
    }
    if ranked.window is not None:
        details[WINDOW_KEY] = [ranked.window.start, ranked.window.end]
    if ranked.stages:
        details[STAGE_KEY] = ranked.stages[-1].name
    if usage is not None and usage.chat is not None:
        details[CHAT_KEY] = asdict(usage.chat)
    return details
