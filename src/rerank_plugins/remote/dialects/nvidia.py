"""NVIDIA NIM, where you run it: objects for texts, logits for scores."""

from __future__ import annotations

from typing import Any

from rerank_plugins.remote.dialects.base import RerankDialect, RerankRequest, Service, named, results_reader
from rerank_plugins.remote.limits import BatchLimits

__all__ = ["RERANK"]


def _body(request: RerankRequest) -> dict[str, Any]:
    passages = [{"text": document} for document in request.documents]
    return named(request.model, {"query": {"text": request.query}, "passages": passages, "truncate": "END"})


RERANK = RerankDialect(
    service=Service(name="nvidia"),
    path="/v1/ranking",
    fits=BatchLimits(items=512),
    body=_body,
    read=results_reader("nvidia", rows="rankings", score="logit"),
    scale="logit",
)
