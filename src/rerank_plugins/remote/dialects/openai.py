"""OpenAI's embeddings, and every server that speaks them."""

from __future__ import annotations

from typing import Any

from rerank_plugins.remote.dialects.base import EmbedDialect, EmbedRequest, Service, openai_body, openai_reader
from rerank_plugins.remote.limits import BatchLimits

__all__ = ["EMBED"]


def _body(request: EmbedRequest) -> dict[str, Any]:
    return openai_body(request, encoding_format="base64")


EMBED = EmbedDialect(
    service=Service(name="openai", base_url="https://api.openai.com/v1", key_envs=("OPENAI_API_KEY",)),
    path="/embeddings",
    fits=BatchLimits(items=2_048, tokens=300_000),
    body=_body,
    read=openai_reader("openai"),
)
