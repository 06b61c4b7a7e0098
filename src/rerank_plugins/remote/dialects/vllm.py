"""vLLM: texts that are too long are an error unless cutting is asked for."""

from __future__ import annotations

from typing import Any

from rerank_plugins.remote.dialects.base import (
    EmbedDialect,
    EmbedRequest,
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

_SERVICE = Service(name="vllm", needs_model=False)
_TO_THE_MODELS_LENGTH = {"truncate_prompt_tokens": -1}


def _body(request: RerankRequest) -> dict[str, Any]:
    body: dict[str, Any] = {"query": request.query, "documents": list(request.documents), **_TO_THE_MODELS_LENGTH}
    if request.scale != "probability":
        body["use_activation"] = False
    if request.prompt:
        body["instruction"] = request.prompt
    return named(request.model, body)


def _embed_body(request: EmbedRequest) -> dict[str, Any]:
    return openai_body(request, encoding_format="base64", **_TO_THE_MODELS_LENGTH)


RERANK = RerankDialect(
    service=_SERVICE,
    path="/v1/rerank",
    fits=BatchLimits(items=1_000),
    body=_body,
    read=results_reader("vllm"),
    # Older versions do not know use_activation and would give probabilities whatever is asked.
    scale="probability",
    prompt_key="instruction",
)
EMBED = EmbedDialect(
    service=_SERVICE,
    path="/v1/embeddings",
    fits=BatchLimits(items=1_000),
    body=_embed_body,
    read=openai_reader("vllm"),
)
