"""infinity: logits on request, embeddings in OpenAI's form."""

from __future__ import annotations

from typing import Any

from rerank_plugins.remote.dialects.base import (
    EmbedDialect,
    RerankDialect,
    RerankRequest,
    Service,
    named,
    openai_body,
    openai_reader,
    results_reader,
)
from rerank_plugins.remote.limits import BatchLimits

__all__ = ["EMBED", "RERANK"]

_SERVICE = Service(name="infinity", needs_model=False)
_FITS = BatchLimits(items=2_048)


def _body(request: RerankRequest) -> dict[str, Any]:
    body = {"query": request.query, "documents": list(request.documents), "return_documents": False}
    return named(request.model, {**body, "raw_scores": request.scale != "probability"})


RERANK = RerankDialect(
    service=_SERVICE,
    path="/rerank",
    fits=_FITS,
    body=_body,
    read=results_reader("infinity"),
    scale="logit",
)
EMBED = EmbedDialect(
    service=_SERVICE,
    path="/embeddings",
    fits=_FITS,
    body=openai_body,
    read=openai_reader("infinity"),
)
