"""The server of this package, ``rerank-plugins serve``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rerank_plugins.catalog.spec import ScoreScale
from rerank_plugins.remote.answers import member_at
from rerank_plugins.remote.dialects.base import (
    EmbedDialect,
    EmbedRequest,
    RemoteResult,
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

_SERVICE = Service(name="rerank-plugins", needs_model=False)
_FACTS = "x_rerank_plugins"
_read_probabilities = results_reader("rerank-plugins")
_read_raw = results_reader("rerank-plugins", score="raw_score")


def _body(request: RerankRequest) -> dict[str, Any]:
    body = {"query": request.query, "documents": list(request.documents), "return_documents": False}
    return named(request.model, {**body, **({} if request.scale == "probability" else {_FACTS: True})})


def _read(found: Any, n: int, scale: ScoreScale) -> RemoteResult:
    if scale == "probability":
        return _read_probabilities(found, n, scale)
    members = member_at(found, "results")
    if isinstance(members, list):
        lifted = [
            {**one, "raw_score": member_at(one, f"{_FACTS}.raw_score")} if isinstance(one, Mapping) else one
            for one in members
        ]
        found = {**found, "results": lifted}
    return _read_raw(found, n, scale)


def _embed_body(request: EmbedRequest) -> dict[str, Any]:
    return openai_body(request, input_type="query" if request.is_query else "document", encoding_format="base64")


RERANK = RerankDialect(
    service=_SERVICE,
    path="/v1/rerank",
    fits=BatchLimits(items=1_000),
    body=_body,
    read=_read,
)
EMBED = EmbedDialect(
    service=_SERVICE,
    path="/v1/embeddings",
    fits=BatchLimits(items=2_048),
    body=_embed_body,
    read=openai_reader("rerank-plugins"),
)
