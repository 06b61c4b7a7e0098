"""Reranking for LlamaIndex on the shared core of ``rerank_plugins``."""

from llama_index.postprocessor.rerank_plugins.base import (
    BceRerankPostprocessor,
    BgeRerankPostprocessor,
    RerankPostprocessor,
)

__all__ = ["BceRerankPostprocessor", "BgeRerankPostprocessor", "RerankPostprocessor"]
