"""One class per kind of model; its facts, default model and options are in ``rerank_plugins.adapters.models``."""

from __future__ import annotations

from langchain_rerank_plugins.compressor import BaseRerankCompressor, RerankCompressor
from rerank_plugins.adapters import models

__all__ = [
    "BceRerankCompressor",
    "BgeLLMRerankCompressor",
    "BgeLayerwiseRerankCompressor",
    "BgeLightweightRerankCompressor",
    "BgeRerankCompressor",
    "QwenRerankCompressor",
]


class BgeRerankCompressor(models.Bge, RerankCompressor):
    """Reranks with a BGE reranker: ``BgeRerankCompressor(top_n=5)`` is all it takes."""


class BceRerankCompressor(models.Bce, RerankCompressor):
    """Reranks with the BCE reranker; ``BceRerankCompressor(threshold=0.35)`` is what its authors advise."""


class BgeLLMRerankCompressor(models.BgeLLM, BaseRerankCompressor):
    """Reranks with bge-reranker-v2-gemma: ``BgeLLMRerankCompressor(device="cuda")``; it is made for a GPU."""


class BgeLayerwiseRerankCompressor(models.BgeLayerwise, BaseRerankCompressor):
    """Reranks with bge-reranker-v2-minicpm-layerwise, to the layer that is asked for; it is made for a GPU.

    Example:
        >>> with BgeLayerwiseRerankCompressor(cutoff_layers=28).using(cutoff_layers=16) as quick:
        ...     quick.compress_documents(documents, query)
    """


class BgeLightweightRerankCompressor(models.BgeLightweight, BaseRerankCompressor):
    """Reranks with bge-reranker-v2.5-gemma2-lightweight: layers to choose, and texts compressed on the way.

    Example:
        >>> BgeLightweightRerankCompressor(cutoff_layers=28, compress_ratio=2, compress_layers=[24, 40], top_n=5)
    """


class QwenRerankCompressor(models.Qwen, BaseRerankCompressor):
    """Reranks with a Qwen3-Reranker (0.6B, 4B, 8B); ``prompt`` is its instruction.

    Example:
        >>> QwenRerankCompressor(prompt="Given a legal question, retrieve the statutes that answer it", top_n=5)
    """
