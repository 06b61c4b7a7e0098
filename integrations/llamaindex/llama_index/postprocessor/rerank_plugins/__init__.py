"""Reranking for LlamaIndex on the shared core of ``rerank_plugins``."""

from llama_index.postprocessor.rerank_plugins.base import BaseRerankPostprocessor, RerankPostprocessor
from llama_index.postprocessor.rerank_plugins.chat import ChatRerankPostprocessor
from llama_index.postprocessor.rerank_plugins.models import (
    BceRerankPostprocessor,
    BgeLayerwiseRerankPostprocessor,
    BgeLightweightRerankPostprocessor,
    BgeLLMRerankPostprocessor,
    BgeRerankPostprocessor,
    QwenRerankPostprocessor,
)

__all__ = [
    "BaseRerankPostprocessor",
    "BceRerankPostprocessor",
    "BgeLLMRerankPostprocessor",
    "BgeLayerwiseRerankPostprocessor",
    "BgeLightweightRerankPostprocessor",
    "BgeRerankPostprocessor",
    "ChatRerankPostprocessor",
    "QwenRerankPostprocessor",
    "RerankPostprocessor",
]
