"""vLLM: texts that are too long are an error unless cutting is asked for."""

from __future__ import annotations

from typing import Any

from rerank_plugins.remote.dialects.base import (
    EmbedAsk,
    EmbedDialect,
    RerankAsk,
    RerankDialect,
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


def _body(ask: RerankAsk) -> dict[str, Any]:
    body: dict[str, Any] = {"query": ask.query, "documents": list(ask.documents), **_TO_THE_MODELS_LENGTH}
    if ask.scale != "probability":
        body["use_activation"] = False
    if ask.prompt:
        body["instruction"] = ask.prompt
    return named(ask.model, body)


def _embed_body(ask: EmbedAsk) -> dict[str, Any]:
    return openai_body(ask, encoding_format="base64", **_TO_THE_MODELS_LENGTH)


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
