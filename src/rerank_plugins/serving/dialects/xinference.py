"""Xinference: Cohere's first reranking with more keys, booleans as texts too, and errors as FastAPI has them."""

from __future__ import annotations

from typing import Any

from rerank_plugins.serving.dialects.base import Dialect, Endpoint, Hints, detail_error
from rerank_plugins.serving.dialects.reranking import Keys, results_of, usages_of
from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.outcomes import Ranked
from rerank_plugins.serving.requests import Reading, RerankRequest

__all__ = ["RERANK", "XINFERENCE"]

XINFERENCE = Dialect(name="xinference", error=detail_error)
_KEYS = Keys()


def _read(fields: Fields, _hints: Hints) -> RerankRequest:
    fields.flag("return_len", default=False)
    fields.optional_text("kwargs")
    chunks = fields.count("max_chunks_per_doc")
    return _KEYS.read(fields, reading=Reading(windows=None if chunks is None else chunks > 1))


def _answer(request: RerankRequest, ranked: Ranked) -> dict[str, Any]:
    head = {"id": ranked.costs.request_id, "model": ranked.costs.model}
    return {**head, "results": results_of(request, ranked), **usages_of(ranked.costs)}


RERANK = Endpoint(dialect=XINFERENCE, read=_read, answer=_answer)
