"""One class per kind of model, with the default model and the options that mean something to that kind."""

from __future__ import annotations

from typing import ClassVar

from llama_index.postprocessor.rerank_plugins.base import BaseRerankPostprocessor, RerankPostprocessor
from llama_index.postprocessor.rerank_plugins.layers import CompressionOptions, CutoffOptions, PromptOptions

from rerank_plugins.fields import Long, Name, Text, option

__all__ = [
    "BceRerankPostprocessor",
    "BgeLLMRerankPostprocessor",
    "BgeLayerwiseRerankPostprocessor",
    "BgeLightweightRerankPostprocessor",
    "BgeRerankPostprocessor",
    "QwenRerankPostprocessor",
]


class BgeRerankPostprocessor(RerankPostprocessor):
    """Reranks nodes with a BGE reranker; see :class:`RerankPostprocessor`.

    Example:
        >>> index.as_query_engine(node_postprocessors=[BgeRerankPostprocessor(top_n=5)])
    """

    family: Text | None = option("family", "bge")


class BceRerankPostprocessor(RerankPostprocessor):
    """Reranks nodes with a BCE reranker; see :class:`RerankPostprocessor`.

    Long texts are split into overlapping windows and take the score of the best one, as BCEmbedding's
    own ``rerank`` does. Its authors read the probability as an absolute score: a ``threshold`` of about
    0.35 leaves out what does not answer the query.
    """

    model: Name = option("model", "maidalun1020/bce-reranker-base_v1")
    family: Text | None = option("family", "bce")
    long_documents: Long = option("long_documents", "maxp")


class BgeLLMRerankPostprocessor(PromptOptions, BaseRerankPostprocessor):
    """Reranks nodes with bge-reranker-v2-gemma, or another decoder that answers its prompt with "Yes".

    2.5 billion parameters: made for a GPU. See :class:`BaseRerankPostprocessor`.

    Example:
        >>> index.as_query_engine(node_postprocessors=[BgeLLMRerankPostprocessor(top_n=5)])
    """

    _scorers: ClassVar[frozenset[str]] = frozenset({"decoder"})

    model: Name = option("model", "BAAI/bge-reranker-v2-gemma")
    family: Text | None = option("family", "bge")


class BgeLayerwiseRerankPostprocessor(CutoffOptions, BaseRerankPostprocessor):
    """Reranks nodes with bge-reranker-v2-minicpm-layerwise: every layer from 8 to 40 gives a score.

    2.7 billion parameters, of which 70 % run at the default layer 28. See :class:`BaseRerankPostprocessor`.

    Example:
        >>> reranker = BgeLayerwiseRerankPostprocessor(cutoff_layers=28, top_n=5)
        >>> with reranker.using(cutoff_layers=16):  # a quick look
        ...     answer = query_engine.query("...")
    """

    _scorers: ClassVar[frozenset[str]] = frozenset({"layerwise"})

    model: Name = option("model", "BAAI/bge-reranker-v2-minicpm-layerwise")
    family: Text | None = option("family", "bge")


class BgeLightweightRerankPostprocessor(CompressionOptions, BaseRerankPostprocessor):
    """Reranks nodes with bge-reranker-v2.5-gemma2-lightweight: layers to choose, and texts compressed on the way.

    9 billion parameters. Its scores are saturated and its authors advise against thresholds. See
    :class:`BaseRerankPostprocessor`.

    Example:
        >>> BgeLightweightRerankPostprocessor(cutoff_layers=28, compress_ratio=2, compress_layers=[24, 40], top_n=5)
    """

    _scorers: ClassVar[frozenset[str]] = frozenset({"lightweight"})

    model: Name = option("model", "BAAI/bge-reranker-v2.5-gemma2-lightweight")
    family: Text | None = option("family", "bge")


class QwenRerankPostprocessor(PromptOptions, BaseRerankPostprocessor):
    """Reranks nodes with a Qwen3-Reranker (0.6B, 4B, 8B); ``prompt`` is its instruction.

    See :class:`BaseRerankPostprocessor`.

    Example:
        >>> QwenRerankPostprocessor(prompt="Given a legal question, retrieve the statutes that answer it", top_n=5)
    """

    _scorers: ClassVar[frozenset[str]] = frozenset({"decoder"})

    model: Name = option("model", "Qwen/Qwen3-Reranker-0.6B")
    family: Text | None = option("family", "qwen3")
