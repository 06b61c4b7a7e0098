"""The services that are known by name, a file for each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rerank_plugins.remote.dialects import (
    cohere,
    dashscope,
    infinity,
    jina,
    nvidia,
    openai,
    own,
    siliconflow,
    tei,
    vllm,
    voyage,
    xinference,
)
from rerank_plugins.remote.dialects.base import EmbedDialect, RerankDialect

__all__ = ["EMBEDDERS", "RERANKERS"]

RERANKERS: Mapping[str, RerankDialect] = MappingProxyType(
    {
        one.service.name: one
        for one in (
            cohere.RERANK,
            dashscope.RERANK,
            infinity.RERANK,
            jina.RERANK,
            nvidia.RERANK,
            own.RERANK,
            siliconflow.RERANK,
            tei.RERANK,
            vllm.RERANK,
            voyage.RERANK,
            xinference.RERANK,
        )
    }
)

EMBEDDERS: Mapping[str, EmbedDialect] = MappingProxyType(
    {
        one.service.name: one
        for one in (
            cohere.EMBED,
            dashscope.EMBED,
            infinity.EMBED,
            jina.EMBED,
            openai.EMBED,
            own.EMBED,
            siliconflow.EMBED,
            tei.EMBED,
            vllm.EMBED,
            voyage.EMBED,
            xinference.EMBED,
        )
    }
)
