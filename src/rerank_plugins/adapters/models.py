"""Each kind of model, once: its default checkpoint, its options, and the scorers that run it.

A framework's class of that kind inherits one of these in front of its own base class.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel

from rerank_plugins.adapters.fields import Long, Name, Text, option
from rerank_plugins.adapters.reranking import CompressionOptions, CutoffOptions, PromptOptions

__all__ = [
    "BCE_EMBEDDER",
    "BGE_EMBEDDER",
    "Bce",
    "BceEmbedder",
    "Bge",
    "BgeEmbedder",
    "BgeLLM",
    "BgeLayerwise",
    "BgeLightweight",
    "Qwen",
]

# Frameworks have different names for the field of an embedder's model.
BGE_EMBEDDER = "BAAI/bge-m3"
BCE_EMBEDDER = "maidalun1020/bce-embedding-base_v1"


class Bge(BaseModel):
    """A BGE cross-encoder. Scores are those of FlagEmbedding's ``FlagReranker.compute_score``: raw logits."""

    model: Name = option("model", "BAAI/bge-reranker-v2-m3")
    family: Text | None = option("family", "bge")


class Bce(BaseModel):
    """The BCE cross-encoder, which reads long documents by their best window as BCEmbedding's ``rerank`` does.

    Its authors read the probability as an absolute score and advise to drop what is below about 0.35.
    """

    model: Name = option("model", "maidalun1020/bce-reranker-base_v1")
    family: Text | None = option("family", "bce")
    long_documents: Long = option("long_documents", "maxp")


class BgeLLM(PromptOptions):
    """bge-reranker-v2-gemma, or another decoder that answers its prompt with "Yes".

    2.5 billion parameters: made for a GPU. Scores are those of ``FlagLLMReranker.compute_score``.
    """

    _scorers: ClassVar[frozenset[str]] = frozenset({"decoder"})

    model: Name = option("model", "BAAI/bge-reranker-v2-gemma")
    family: Text | None = option("family", "bge")


class BgeLayerwise(CutoffOptions):
    """bge-reranker-v2-minicpm-layerwise: every layer from 8 to 40 gives a score.

    2.7 billion parameters, of which 70 % run at the default layer 28; ``using(cutoff_layers=16)`` is a quick look.
    Scores are those of ``LayerWiseFlagLLMReranker.compute_score``.
    """

    _scorers: ClassVar[frozenset[str]] = frozenset({"layerwise"})

    model: Name = option("model", "BAAI/bge-reranker-v2-minicpm-layerwise")
    family: Text | None = option("family", "bge")


class BgeLightweight(CompressionOptions):
    """bge-reranker-v2.5-gemma2-lightweight: layers to choose, and texts compressed on the way.

    9 billion parameters. Its scores are saturated, and its authors advise against thresholds. Scores are those of
    ``LightWeightFlagLLMReranker.compute_score``.
    """

    _scorers: ClassVar[frozenset[str]] = frozenset({"lightweight"})

    model: Name = option("model", "BAAI/bge-reranker-v2.5-gemma2-lightweight")
    family: Text | None = option("family", "bge")


class Qwen(PromptOptions):
    """A Qwen3-Reranker (0.6B, 4B, 8B); ``prompt`` is its instruction."""

    _scorers: ClassVar[frozenset[str]] = frozenset({"decoder"})

    model: Name = option("model", "Qwen/Qwen3-Reranker-0.6B")
    family: Text | None = option("family", "qwen3")


class BgeEmbedder(BaseModel):
    """A BGE embedder.

    The default reads over 100 languages and 8,192 tokens (568M parameters, 1024 dimensions), so that LlamaIndex's
    default chunks (1,024 tokens) are read whole. ``BAAI/bge-small-en-v1.5`` and ``BAAI/bge-small-zh-v1.5`` are small
    ones for one language, and read 512 tokens; the English one is 17 times smaller.
    """

    family: Text | None = option("family", "bge")


class BceEmbedder(BaseModel):
    """The bilingual (Chinese, English) BCE embedder, which takes no instruction."""

    family: Text | None = option("family", "bce")
