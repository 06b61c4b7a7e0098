"""Cohere, version 2 of its interface."""

from __future__ import annotations

from typing import Any

from rerank_plugins.remote.answers import count_at, listed_vectors, member_at
from rerank_plugins.remote.dialects.base import (
    EmbedDialect,
    EmbedRequest,
    RemoteResult,
    RerankDialect,
    RerankRequest,
    Service,
    results_reader,
)
from rerank_plugins.remote.limits import BatchLimits

__all__ = ["EMBED", "RERANK"]

_SERVICE = Service(name="cohere", base_url="https://api.cohere.com", key_envs=("COHERE_API_KEY", "CO_API_KEY"))


def _body(request: RerankRequest) -> dict[str, Any]:
    documents = list(request.documents)
    return {"model": request.model, "query": request.query, "documents": documents, "top_n": len(documents)}


def _embed_body(request: EmbedRequest) -> dict[str, Any]:
    side = "search_query" if request.is_query else "search_document"
    return {"model": request.model, "texts": list(request.texts), "input_type": side, "embedding_types": ["float"]}


def _read_vectors(found: Any, n: int) -> RemoteResult:
    rows = listed_vectors(member_at(found, "embeddings.float"), n, service="cohere")
    return RemoteResult(rows, tokens=count_at(found, "meta.billed_units.input_tokens"))


RERANK = RerankDialect(
    service=_SERVICE,
    path="/v2/rerank",
    fits=BatchLimits(items=1_000),
    body=_body,
    read=results_reader("cohere"),
)
EMBED = EmbedDialect(
    service=_SERVICE,
    path="/v2/embed",
    fits=BatchLimits(items=96),
    body=_embed_body,
    read=_read_vectors,
    dimensions_key="output_dimension",
)
