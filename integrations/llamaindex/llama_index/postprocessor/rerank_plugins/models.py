"""One class per kind of model; the default model and the options of each are the core's."""

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
    """Reranks nodes with the BCE reranker, long texts by their best window as BCEmbedding's ``rerank`` does.

    Its authors read the probability as an absolute score and advise to drop below about 0.35:
    ``BceRerankPostprocessor(threshold=0.35)``.
    """


class BgeLLMRerankPostprocessor(models.BgeLLM, BaseRerankPostprocessor):
    """Reranks nodes with bge-reranker-v2-gemma, or another decoder that answers its prompt with "Yes".

    2.5 billion parameters: made for a GPU.
    """


class BgeLayerwiseRerankPostprocessor(models.BgeLayerwise, BaseRerankPostprocessor):
    """Reranks nodes with bge-reranker-v2-minicpm-layerwise: every layer from 8 to 40 gives a score.

    2.7 billion parameters, of which 70 % run at the default layer 28; ``using(cutoff_layers=16)`` is a quick look.
    """


class BgeLightweightRerankPostprocessor(models.BgeLightweight, BaseRerankPostprocessor):
    """Reranks nodes with bge-reranker-v2.5-gemma2-lightweight: layers to choose, and texts compressed on the way.

    9 billion parameters. Its scores are saturated and its authors advise against thresholds.

    Example:
        >>> BgeLightweightRerankPostprocessor(cutoff_layers=28, compress_ratio=2, compress_layers=[24, 40], top_n=5)
    """


class QwenRerankPostprocessor(models.Qwen, BaseRerankPostprocessor):
    """Reranks nodes with a Qwen3-Reranker (0.6B, 4B, 8B); ``prompt`` is its instruction.

    Example:
        >>> QwenRerankPostprocessor(prompt="Given a legal question, retrieve the statutes that answer it", top_n=5)
    """
