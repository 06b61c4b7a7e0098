"""Jina."""

from __future__ import annotations

from typing import Any

from rerank_plugins.catalog.spec import ScoreScope
from rerank_plugins.remote.dialects.base import (
    EmbedDialect,
    EmbedRequest,
    RerankDialect,
    RerankRequest,
    Service,
    openai_body,
    openai_reader,
    results_reader,
)
from rerank_plugins.remote.limits import BatchLimits

__all__ = ["EMBED", "RERANK"]

_SERVICE = Service(name="jina", base_url="https://api.jina.ai/v1", key_envs=("JINA_API_KEY",))

_READS_LISTS = ("jina-reranker-v3",)
"""Models that read all documents together: arXiv 2509.25085."""

_WITHOUT_TASKS = ("jina-embeddings-v2", "jina-embedding-", "jina-clip-v1", "jina-colbert")


def _body(request: RerankRequest) -> dict[str, Any]:
    documents = list(request.documents)
    return {
        "model": request.model,
        "query": request.query,
        "documents": documents,
        "top_n": len(documents),
        "return_documents": False,
    }


def _scope(model: str) -> ScoreScope:
    return "call" if model.startswith(_READS_LISTS) else "model"


def _embed_body(request: EmbedRequest) -> dict[str, Any]:
    if request.model.startswith(_WITHOUT_TASKS):
        return openai_body(request)
    return openai_body(request, task="retrieval.query" if request.is_query else "retrieval.passage")


RERANK = RerankDialect(
    service=_SERVICE,
    path="/rerank",
    fits=BatchLimits(items=2_048),
    body=_body,
    read=results_reader("jina"),
    scope=_scope,
)
EMBED = EmbedDialect(
    service=_SERVICE,
    path="/embeddings",
    fits=BatchLimits(items=2_048),
    body=_embed_body,
    read=openai_reader("jina"),
)
