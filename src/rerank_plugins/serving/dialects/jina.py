"""Jina's reranking, whose shape SiliconFlow, Xinference, LocalAI and many applications took over."""

from __future__ import annotations

from typing import Any

from rerank_plugins.serving.dialects.base import STRICT, Dialect, Endpoint, Hints, detail_error
from rerank_plugins.serving.dialects.reranking import Keys, instruction_of, results_of, usages_of
from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.outcomes import Ranked
from rerank_plugins.serving.requests import Reading, RerankRequest

__all__ = ["JINA", "RERANK", "answer"]

JINA = Dialect(name="jina", error=detail_error, statuses=STRICT)
_KEYS = Keys(returns_documents=True, zero_is_all=True)


def _read(fields: Fields, _hints: Hints) -> RerankRequest:
    # SiliconFlow's and vLLM's clients may send nothing else that would tell them apart.
    reading = Reading(instruction=instruction_of(fields, "instruction"))
    return _KEYS.read(fields, reading=reading)


def answer(request: RerankRequest, ranked: Ranked) -> dict[str, Any]:
    """Return an answer with the usage in the words of everybody who speaks this dialect."""
    head = {"id": ranked.costs.request_id, "object": "list", "model": ranked.costs.model}
    return {**head, "results": results_of(request, ranked), **usages_of(ranked.costs)}


RERANK = Endpoint(dialect=JINA, read=_read, answer=answer)
