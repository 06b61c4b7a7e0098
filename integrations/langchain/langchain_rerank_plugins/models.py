"""One class per kind of model, with the default model and the options that mean something to that kind."""

from __future__ import annotations

from typing import ClassVar

from langchain_rerank_plugins.compressor import BaseRerankCompressor, RerankCompressor
from langchain_rerank_plugins.layers import CompressionOptions, CutoffOptions, PromptOptions
from rerank_plugins.fields import Long, Name, Text, option

__all__ = [
    "BceRerankCompressor",
    "BgeLLMRerankCompressor",
    "BgeLayerwiseRerankCompressor",
    "BgeLightweightRerankCompressor",
    "BgeRerankCompressor",
    "QwenRerankCompressor",
]


class BgeRerankCompressor(RerankCompressor):
    """Reranks with a BGE reranker: ``BgeRerankCompressor(top_n=5)`` is all it takes.

    Scores are those of ``FlagReranker.compute_score`` (raw logits).
    """

    model: Name = option("model", "BAAI/bge-reranker-v2-m3")
    family: Text | None = option("family", "bge")


class BceRerankCompressor(RerankCompressor):
    """Reranks with the BCE reranker, long documents by their best window as BCEmbedding's ``rerank`` does.

    Its authors read the probability as an absolute score and advise to drop below about 0.35:
    ``BceRerankCompressor(threshold=0.35)``.
    """

    model: Name = option("model", "maidalun1020/bce-reranker-base_v1")
    family: Text | None = option("family", "bce")
    long_documents: Long = option("long_documents", "maxp")


class BgeLLMRerankCompressor(PromptOptions, BaseRerankCompressor):
    """Reranks with bge-reranker-v2-gemma, or another decoder that answers its prompt with "Yes".

    2.5 billion parameters: made for a GPU. Scores are those of ``FlagLLMReranker.compute_score``.
    """

    _scorers: ClassVar[frozenset[str]] = frozenset({"decoder"})

    model: Name = option("model", "BAAI/bge-reranker-v2-gemma")
    family: Text | None = option("family", "bge")


class BgeLayerwiseRerankCompressor(CutoffOptions, BaseRerankCompressor):
    """Reranks with bge-reranker-v2-minicpm-layerwise: every layer from 8 to 40 gives a score.

    2.7 billion parameters, of which 70 % run at the default layer 28. Scores are those of
    ``LayerWiseFlagLLMReranker.compute_score``.

    Example:
        >>> compressor = BgeLayerwiseRerankCompressor(cutoff_layers=28, top_n=5)
        >>> with compressor.using(cutoff_layers=16):  # a quick look
        ...     documents = retriever.invoke("...")
    """

    _scorers: ClassVar[frozenset[str]] = frozenset({"layerwise"})

    model: Name = option("model", "BAAI/bge-reranker-v2-minicpm-layerwise")
    family: Text | None = option("family", "bge")


class BgeLightweightRerankCompressor(CompressionOptions, BaseRerankCompressor):
    """Reranks with bge-reranker-v2.5-gemma2-lightweight: layers to choose, and texts compressed on the way.

    9 billion parameters. Its scores are saturated and its authors advise against thresholds. Scores are
    those of ``LightWeightFlagLLMReranker.compute_score``.

    Example:
        >>> BgeLightweightRerankCompressor(cutoff_layers=28, compress_ratio=2, compress_layers=[24, 40], top_n=5)
    """

    _scorers: ClassVar[frozenset[str]] = frozenset({"lightweight"})

    model: Name = option("model", "BAAI/bge-reranker-v2.5-gemma2-lightweight")
    family: Text | None = option("family", "bge")


class QwenRerankCompressor(PromptOptions, BaseRerankCompressor):
    """Reranks with a Qwen3-Reranker (0.6B, 4B, 8B); ``prompt`` is its instruction.

    Example:
        >>> QwenRerankCompressor(prompt="Given a legal question, retrieve the statutes that answer it", top_n=5)
    """

    _scorers: ClassVar[frozenset[str]] = frozenset({"decoder"})

    model: Name = option("model", "Qwen/Qwen3-Reranker-0.6B")
    family: Text | None = option("family", "qwen3")
