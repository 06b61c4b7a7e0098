"""Xinference: Cohere's first reranking, OpenAI's embeddings."""

from __future__ import annotations

from typing import Any

from rerank_plugins.remote.dialects.base import (
    EmbedDialect,
    RerankDialect,
    RerankRequest,
    Service,
    openai_body,
    openai_reader,
    results_reader,
)
from rerank_plugins.remote.limits import BatchLimits

__all__ = ["EMBED", "RERANK"]

_SERVICE = Service(name="xinference")


def _body(request: RerankRequest) -> dict[str, Any]:
    documents = list(request.documents)
    return {
        "model": request.model,
        "query": request.query,
        "documents": documents,
        "top_n": len(documents),
        "return_documents": False,
        "return_len": True,
    }


RERANK = RerankDialect(
    service=_SERVICE,
    path="/v1/rerank",
    fits=BatchLimits(items=1_000),
    body=_body,
    read=results_reader("xinference"),
)
EMBED = EmbedDialect(
    service=_SERVICE,
    path="/v1/embeddings",
    fits=BatchLimits(items=1_000),
    body=openai_body,
    read=openai_reader("xinference"),
)
