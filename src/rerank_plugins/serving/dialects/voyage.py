"""Voyage's reranking: ``top_k``, answers in ``data``, documents as plain texts."""

from __future__ import annotations

from typing import Any

from rerank_plugins.serving.dialects.base import Dialect, Endpoint, Hints, detail_error
from rerank_plugins.serving.dialects.reranking import Keys, results_of
from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.outcomes import Ranked
from rerank_plugins.serving.requests import RerankRequest

__all__ = ["RERANK", "VOYAGE"]

VOYAGE = Dialect(name="voyage", error=detail_error)
_KEYS = Keys(top="top_k", needs_model=True, objects=False)


def _read(fields: Fields, _hints: Hints) -> RerankRequest:
    return _KEYS.read(fields)


def _answer(request: RerankRequest, ranked: Ranked) -> dict[str, Any]:
    found = results_of(request, ranked, as_text=True)
    usage = {"total_tokens": ranked.costs.tokens}
    return {"object": "list", "data": found, "model": ranked.costs.model, "usage": usage}


RERANK = Endpoint(dialect=VOYAGE, read=_read, answer=_answer)
