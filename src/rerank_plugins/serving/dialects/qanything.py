"""QAnything's reranking service: two lists, indices and scores."""

from __future__ import annotations

from typing import Any

from rerank_plugins.serving.dialects.base import Dialect, Endpoint, Hints, detail_error
from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.outcomes import Ranked
from rerank_plugins.serving.requests import RerankRequest

__all__ = ["QANYTHING", "RERANK"]

QANYTHING = Dialect(name="qanything", error=detail_error)


def _read(fields: Fields, _hints: Hints) -> RerankRequest:
    return RerankRequest(model=None, query=fields.text("query"), documents=fields.texts("passages"))


def _answer(_request: RerankRequest, ranked: Ranked) -> dict[str, Any]:
    indices = [one.index for one in ranked.documents]
    return {"rerank_indices": indices, "rerank_scores": [one.probability for one in ranked.documents]}


RERANK = Endpoint(dialect=QANYTHING, read=_read, answer=_answer)
