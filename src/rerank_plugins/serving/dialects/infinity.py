"""infinity's reranking: documents are given back as plain texts, and the answer is an object ``rerank``."""

from __future__ import annotations

from typing import Any

from rerank_plugins.serving.dialects.base import STRICT, Dialect, Endpoint, Hints, openai_error, token_usage
from rerank_plugins.serving.dialects.reranking import Keys, results_of
from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.outcomes import Ranked
from rerank_plugins.serving.requests import RerankRequest

__all__ = ["INFINITY", "RERANK"]

INFINITY = Dialect(name="infinity", error=openai_error, statuses=STRICT)
_KEYS = Keys(objects=False, raw="raw_scores")


def _read(fields: Fields, _hints: Hints) -> RerankRequest:
    return _KEYS.read(fields)


def _answer(request: RerankRequest, ranked: Ranked) -> dict[str, Any]:
    costs = ranked.costs
    return {
        "object": "rerank",
        "id": f"infinity-{costs.request_id}",
        "created": costs.created_s,
        "model": costs.model,
        "results": results_of(request, ranked, as_text=True),
        "usage": token_usage(costs),
    }


RERANK = Endpoint(dialect=INFINITY, read=_read, answer=_answer)
