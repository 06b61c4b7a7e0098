"""One class per kind of model; its facts, default model and options are in ``rerank_plugins.adapters.models``."""

from __future__ import annotations

from llama_index.postprocessor.rerank_plugins.base import BaseRerankPostprocessor, RerankPostprocessor

from rerank_plugins.adapters import models

__all__ = [
    "BceRerankPostprocessor",
    "BgeLLMRerankPostprocessor",
    "BgeLayerwiseRerankPostprocessor",
    "BgeLightweightRerankPostprocessor",
    "BgeRerankPostprocessor",
    "QwenRerankPostprocessor",
]


class BgeRerankPostprocessor(models.Bge, RerankPostprocessor):
    """Reranks nodes with a BGE reranker: ``node_postprocessors=[BgeRerankPostprocessor(top_n=5)]`` is all it takes."""


class BceRerankPostprocessor(models.Bce, RerankPostprocessor):
    """Reranks nodes with the BCE reranker; ``BceRerankPostprocessor(threshold=0.35)`` is what its authors advise."""


class BgeLLMRerankPostprocessor(models.BgeLLM, BaseRerankPostprocessor):
    """Reranks nodes with bge-reranker-v2-gemma: ``BgeLLMRerankPostprocessor(device="cuda")``; it is made for a GPU."""


class BgeLayerwiseRerankPostprocessor(models.BgeLayerwise, BaseRerankPostprocessor):
    """Reranks nodes with bge-reranker-v2-minicpm-layerwise, to the layer that is asked for; it is made for a GPU.

    Example:
        >>> with BgeLayerwiseRerankPostprocessor(cutoff_layers=28).using(cutoff_layers=16) as quick:
        ...     quick.postprocess_nodes(nodes, query_str=query)
    """


class BgeLightweightRerankPostprocessor(models.BgeLightweight, BaseRerankPostprocessor):
    """Reranks nodes with bge-reranker-v2.5-gemma2-lightweight: layers to choose, and texts compressed on the way.

    Example:
        >>> BgeLightweightRerankPostprocessor(cutoff_layers=28, compress_ratio=2, compress_layers=[24, 40], top_n=5)
    """


class QwenRerankPostprocessor(models.Qwen, BaseRerankPostprocessor):
    """Reranks nodes with a Qwen3-Reranker (0.6B, 4B, 8B); ``prompt`` is its instruction.

    Example:
        >>> QwenRerankPostprocessor(prompt="Given a legal question, retrieve the statutes that answer it", top_n=5)
    """
