"""DashScope: its own shape for reranking, OpenAI's for embeddings."""

from __future__ import annotations

from typing import Any

from rerank_plugins.remote.dialects.base import (
    EmbedDialect,
    RerankDialect,
    RerankRequest,
    Service,
    openai_body,
    openai_reader,
    results_reader,
)
from rerank_plugins.remote.limits import BatchLimits

__all__ = ["EMBED", "RERANK"]

_SERVICE = Service(name="dashscope", base_url="https://dashscope.aliyuncs.com", key_envs=("DASHSCOPE_API_KEY",))


def _body(request: RerankRequest) -> dict[str, Any]:
    documents = list(request.documents)
    parameters = {"top_n": len(documents), "return_documents": False}
    return {
        "model": request.model,
        "input": {"query": request.query, "documents": documents},
        "parameters": {**parameters, **({"instruct": request.prompt} if request.prompt else {})},
    }


RERANK = RerankDialect(
    service=_SERVICE,
    path="/api/v1/services/rerank/text-rerank/text-rerank",
    # The smallest sum that one of its models allows.
    fits=BatchLimits(items=500, tokens=30_000),
    body=_body,
    read=results_reader("dashscope", rows="output.results"),
    prompt_key="instruct",
)
EMBED = EmbedDialect(
    service=_SERVICE,
    path="/compatible-mode/v1/embeddings",
    fits=BatchLimits(items=10),
    body=openai_body,
    read=openai_reader("dashscope"),
)
