"""Voyage: ``top_k``, results in ``data``."""

from __future__ import annotations

from typing import Any

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

_SERVICE = Service(name="voyage", base_url="https://api.voyageai.com/v1", key_envs=("VOYAGE_API_KEY",))


def _body(request: RerankRequest) -> dict[str, Any]:
    documents = list(request.documents)
    return {
        "model": request.model,
        "query": request.query,
        "documents": documents,
        "top_k": len(documents),
        "truncation": True,
    }


def _embed_body(request: EmbedRequest) -> dict[str, Any]:
    side = "query" if request.is_query else "document"
    return openai_body(request, input_type=side, truncation=True, encoding_format="base64")


RERANK = RerankDialect(
    service=_SERVICE,
    path="/rerank",
    fits=BatchLimits(items=1_000, tokens=600_000),
    body=_body,
    read=results_reader("voyage", rows="data"),
)
EMBED = EmbedDialect(
    service=_SERVICE,
    path="/embeddings",
    # The smallest sum that one of its models allows.
    fits=BatchLimits(items=1_000, tokens=120_000),
    body=_embed_body,
    read=openai_reader("voyage"),
    dimensions_key="output_dimension",
)
