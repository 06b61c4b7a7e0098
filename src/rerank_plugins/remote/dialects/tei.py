"""Text Embeddings Inference: one model a server, logits on request, lists without a frame around them."""

from __future__ import annotations

from typing import Any

from rerank_plugins.remote.answers import listed_vectors
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

_SERVICE = Service(name="tei", needs_model=False)

# Its defaults: max_client_batch_size, and a web server that takes 2,000,000 bytes. A server that allows fewer texts
# says so, which is learnt.
_FITS = BatchLimits(items=32, n_bytes=1_000_000)


def _body(request: RerankRequest) -> dict[str, Any]:
    raw = request.scale != "probability"
    return {"query": request.query, "texts": list(request.documents), "truncate": True, "raw_scores": raw}


def _embed_body(request: EmbedRequest) -> dict[str, Any]:
    return {"inputs": list(request.texts), "truncate": True}


def _read_vectors(found: Any, n: int) -> RemoteResult:
    return RemoteResult(listed_vectors(found, n, service="tei"))


RERANK = RerankDialect(
    service=_SERVICE,
    path="/rerank",
    fits=_FITS,
    body=_body,
    read=results_reader("tei", rows="", score="score"),
    scale="logit",
)
EMBED = EmbedDialect(service=_SERVICE, path="/embed", fits=_FITS, body=_embed_body, read=_read_vectors)
