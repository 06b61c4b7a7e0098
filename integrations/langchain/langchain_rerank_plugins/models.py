"""One class per kind of model; the default model and the options of each are the core's."""

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
    """Reranks with a BGE reranker: ``BgeRerankCompressor(top_n=5)`` is all it takes.

    Scores are those of ``FlagReranker.compute_score`` (raw logits).
    """


class BceRerankCompressor(models.Bce, RerankCompressor):
    """Reranks with the BCE reranker, long documents by their best window as BCEmbedding's ``rerank`` does.

    Its authors read the probability as an absolute score and advise to drop below about 0.35:
    ``BceRerankCompressor(threshold=0.35)``.
    """


class BgeLLMRerankCompressor(models.BgeLLM, BaseRerankCompressor):
    """Reranks with bge-reranker-v2-gemma, or another decoder that answers its prompt with "Yes".

    2.5 billion parameters: made for a GPU. Scores are those of ``FlagLLMReranker.compute_score``.
    """


class BgeLayerwiseRerankCompressor(models.BgeLayerwise, BaseRerankCompressor):
    """Reranks with bge-reranker-v2-minicpm-layerwise: every layer from 8 to 40 gives a score.

    2.7 billion parameters, of which 70 % run at the default layer 28; ``using(cutoff_layers=16)`` is a quick look.
    Scores are those of ``LayerWiseFlagLLMReranker.compute_score``.
    """


class BgeLightweightRerankCompressor(models.BgeLightweight, BaseRerankCompressor):
    """Reranks with bge-reranker-v2.5-gemma2-lightweight: layers to choose, and texts compressed on the way.

    9 billion parameters. Its scores are saturated and its authors advise against thresholds. Scores are
    those of ``LightWeightFlagLLMReranker.compute_score``.

    Example:
        >>> BgeLightweightRerankCompressor(cutoff_layers=28, compress_ratio=2, compress_layers=[24, 40], top_n=5)
    """


class QwenRerankCompressor(models.Qwen, BaseRerankCompressor):
    """Reranks with a Qwen3-Reranker (0.6B, 4B, 8B); ``prompt`` is its instruction.

    Example:
        >>> QwenRerankCompressor(prompt="Given a legal question, retrieve the statutes that answer it", top_n=5)
    """
