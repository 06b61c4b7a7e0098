"""SiliconFlow: Jina's reranking with an instruction, OpenAI's embeddings."""

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

_SERVICE = Service(name="siliconflow", base_url="https://api.siliconflow.cn/v1", key_envs=("SILICONFLOW_API_KEY",))


def _body(request: RerankRequest) -> dict[str, Any]:
    documents = list(request.documents)
    body = {
        "model": request.model,
        "query": request.query,
        "documents": documents,
        "top_n": len(documents),
        "return_documents": False,
    }
    return {**body, **({"instruction": request.prompt} if request.prompt else {})}


RERANK = RerankDialect(
    service=_SERVICE,
    path="/rerank",
    fits=BatchLimits(items=1_000),
    body=_body,
    read=results_reader("siliconflow"),
    prompt_key="instruction",
)
EMBED = EmbedDialect(
    service=_SERVICE,
    path="/embeddings",
    fits=BatchLimits(items=32),
    body=openai_body,
    read=openai_reader("siliconflow"),
)
