"""How much work a model is: the sizes of its matrices, and what follows from them.

Formula: a token costs 2 floating-point operations for each weight of the linear layers that it passes (one
multiplication, one addition). Per layer these are ``hidden x (2 query_width + 2 key_width)`` for attention and
``hidden x inner x (3 if gated else 2)`` for the feed-forward part; BERT's layers have 12 hidden^2 of them. Left out are
embeddings (looked up, not multiplied), heads (once a text), and the attention scores themselves, ``4 x tokens x
query_width`` a layer: another tenth at 512 tokens for a BERT of width 768, more for narrower models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from rerank_plugins.catalog.spec import ModelKind, ModelSpec

__all__ = ["SHAPES", "SPEED_LIMITS_GFLOP", "Shape", "SpeedClass", "gflop_per_token", "shape_of", "speed_of"]

SpeedClass = Literal["static", "very fast", "fast", "medium", "slow", "very slow"]

SPEED_LIMITS_GFLOP: Mapping[SpeedClass, float] = MappingProxyType(
    {"static": 0.0, "very fast": 0.05, "fast": 0.3, "medium": 1.5, "slow": 5.0}
)
"""GFLOP a token up to which a model is in a class; each class is some five times the work of the one before."""

_BERT_LIKE = ("bert", "xlm-roberta")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes of a transformer's matrices.

    Attributes:
        layers: Layers that a text passes; of an encoder-decoder, those of the encoder.
        hidden: Width of a token's state.
        inner: Width between the two (gated: three) matrices of the feed-forward part.
        vocabulary: Tokens with an embedding.
        query_width: Query heads times head size; None means ``hidden``.
        key_width: Key heads times head size; None means ``query_width``.
        gated: Whether the feed-forward part has a third matrix.
        decoder_layers: Layers that read the encoder's states (T5); they run for one token only.
        source: Where the sizes were read.
    """

    layers: int
    hidden: int
    inner: int
    vocabulary: int
    query_width: int | None = None
    key_width: int | None = None
    gated: bool = False
    decoder_layers: int = 0
    source: str = ""

    @property
    def attention_weights(self) -> int:
        """Weights of one attention: queries, keys, values, output."""
        query = self.query_width or self.hidden
        return 2 * self.hidden * (query + (self.key_width or query))

    @property
    def layer_weights(self) -> int:
        """Weights of the linear layers of one layer."""
        return self.attention_weights + (3 if self.gated else 2) * self.hidden * self.inner

    @property
    def parameters(self) -> int:
        """Parameters in all, but biases, norms, positions and heads; decoders share embeddings and output."""
        decoder = self.decoder_layers * (self.layer_weights + self.attention_weights)
        return self.layers * self.layer_weights + decoder + self.vocabulary * self.hidden

    def weights_passed(self, layers: int) -> int:
        """Return the weights that a token passes when the first ``layers`` run."""
        # Each decoder layer makes keys and values of every encoded token: half of an attention.
        return layers * self.layer_weights + self.decoder_layers * self.attention_weights // 2


def _bert(layers: int, hidden: int, vocabulary: int = 30_522, source: str = "") -> Shape:
    return Shape(layers=layers, hidden=hidden, inner=4 * hidden, vocabulary=vocabulary, source=source)


_HUB = "https://huggingface.co"
_TRANSFORMERS = "https://github.com/huggingface/transformers/blob/main/src/transformers/models"
_QWEN3 = "https://arxiv.org/abs/2505.09388"
_DEBERTA = "https://github.com/microsoft/DeBERTa/blob/000d76f0aa860f0fd134a6d013d6315f94c42efe/README.md"
_T5 = "https://arxiv.org/abs/1910.10683"
_T5_XL = (
    "https://github.com/google-research/text-to-text-transfer-transformer/blob"
    "/a9a4c85a6368a9ad8c8b52eefa1564487c92bbee/t5/models/gin/models/t5.1.1.xl.gin"
)
_JINA = "https://jina.ai/news/smaller-faster-cheaper-jina-rerankers-turbo-and-tiny"
_SBERT = "https://www.sbert.net/docs/cross_encoder/pretrained_models.html"

_MISTRAL_7B = Shape(
    layers=32,
    hidden=4096,
    inner=14_336,
    vocabulary=32_000,
    key_width=1024,
    gated=True,
    source=f"{_TRANSFORMERS}/mistral/configuration_mistral.py",
)
_GEMMA_2B = Shape(
    layers=18,
    hidden=2048,
    inner=16_384,
    vocabulary=256_000,
    key_width=256,
    gated=True,
    source=f"{_HUB}/BAAI/bge-reranker-v2-gemma/blob/main/config.json",
)
_GEMMA2_9B = Shape(
    layers=42,
    hidden=3584,
    inner=14_336,
    vocabulary=256_000,
    query_width=4096,
    key_width=2048,
    gated=True,
    source=f"{_HUB}/BAAI/bge-reranker-v2.5-gemma2-lightweight/blob/main/config.json",
)
_MINICPM = Shape(
    layers=40,
    hidden=2304,
    inner=5760,
    vocabulary=122_753,
    gated=True,
    source=f"{_HUB}/BAAI/bge-reranker-v2-minicpm-layerwise/blob/main/config.json",
)


def _qwen3(layers: int, hidden: int, inner: int, query_width: int) -> Shape:
    return Shape(
        layers=layers,
        hidden=hidden,
        inner=inner,
        vocabulary=151_669,
        query_width=query_width,
        key_width=1024,
        gated=True,
        source=_QWEN3,
    )


_QWEN3_SIZES = {"0.6B": _qwen3(28, 1024, 3072, 2048), "4B": _qwen3(36, 2560, 9728, 4096)}
_QWEN3_SIZES["8B"] = _qwen3(36, 4096, 12_288, 4096)


def _qwen25(layers: int, hidden: int, inner: int, key_width: int) -> Shape:
    source = "https://arxiv.org/abs/2412.15115"
    return Shape(
        layers=layers, hidden=hidden, inner=inner, vocabulary=151_936, key_width=key_width, gated=True, source=source
    )


def _t5(layers: int, hidden: int, inner: int, query_width: int, *, decoder: bool) -> Shape:
    return Shape(
        layers=layers,
        hidden=hidden,
        inner=inner,
        vocabulary=32_128,
        query_width=query_width,
        decoder_layers=layers if decoder else 0,
        source=_T5,
    )


def _t5_sizes(*, decoder: bool) -> dict[str, Shape]:
    return {
        "base": _t5(12, 768, 3072, 768, decoder=decoder),
        "large": _t5(24, 1024, 4096, 1024, decoder=decoder),
        "3b": _t5(24, 1024, 16_384, 4096, decoder=decoder),
    }


def _jina_v1(layers: int) -> Shape:
    return Shape(layers=layers, hidden=384, inner=1536, vocabulary=61_056, gated=True, source=_JINA)


_RERANKERS: dict[str, Shape] = {
    "BAAI/bge-reranker-v2-gemma": _GEMMA_2B,
    "BAAI/bge-reranker-v2-minicpm-layerwise": _MINICPM,
    "BAAI/bge-reranker-v2.5-gemma2-lightweight": _GEMMA2_9B,
    "mini": _bert(6, 384, source="https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2"),
    **{f"Qwen/Qwen3-Reranker-{size}": shape for size, shape in _QWEN3_SIZES.items()},
    "mixedbread-ai/mxbai-rerank-base-v2": _qwen25(24, 896, 4864, 128),
    "mixedbread-ai/mxbai-rerank-large-v2": _qwen25(28, 1536, 8960, 256),
    **{
        f"castorini/monot5-{size}-msmarco{run}": shape
        for size, shape in _t5_sizes(decoder=True).items()
        for run in ("", "-10k")
    },
    "facebook/tart-full-flan-t5-xl": Shape(
        layers=24, hidden=2048, inner=5120, vocabulary=32_128, gated=True, source=_T5_XL
    ),
    "cross-encoder/ms-marco-TinyBERT-L2-v2": _bert(2, 128, source=_SBERT),
    **{f"cross-encoder/ms-marco-MiniLM-L{n}-v2": _bert(n, 384, source=_SBERT) for n in (2, 4, 6, 12)},
    "mixedbread-ai/mxbai-rerank-xsmall-v1": _bert(12, 384, 128_100, _DEBERTA),
    "mixedbread-ai/mxbai-rerank-base-v1": _bert(12, 768, 128_100, _DEBERTA),
    "mixedbread-ai/mxbai-rerank-large-v1": _bert(24, 1024, 128_100, _DEBERTA),
    "Alibaba-NLP/gte-reranker-modernbert-base": Shape(
        layers=22,
        hidden=768,
        inner=1152,
        vocabulary=50_368,
        gated=True,
        source=f"{_TRANSFORMERS}/modernbert/configuration_modernbert.py",
    ),
    "Alibaba-NLP/gte-multilingual-reranker-base": Shape(
        layers=12, hidden=768, inner=3072, vocabulary=250_048, gated=True, source="https://arxiv.org/abs/2407.19669"
    ),
    "jinaai/jina-reranker-v1-tiny-en": _jina_v1(4),
    "jinaai/jina-reranker-v1-turbo-en": _jina_v1(6),
    "jinaai/jina-reranker-v2-base-multilingual": _bert(
        12, 768, 250_002, f"{_HUB}/jinaai/jina-reranker-v2-base-multilingual"
    ),
    "Luyu/bert-base-mdoc-bm25": _bert(12, 768, source="https://github.com/luyug/Reranker"),
    "Luyu/bert-base-mdoc-hdct": _bert(12, 768, source="https://github.com/luyug/Reranker"),
}
_EMBEDDERS: dict[str, Shape] = {
    "BAAI/bge-en-icl": _MISTRAL_7B,
    "BAAI/bge-multilingual-gemma2": _GEMMA2_9B,
    "intfloat/e5-mistral-7b-instruct": _MISTRAL_7B,
    "Linq-AI-Research/Linq-Embed-Mistral": _MISTRAL_7B,
    "Salesforce/SFR-Embedding-Mistral": _MISTRAL_7B,
    **{f"Qwen/Qwen3-Embedding-{size}": shape for size, shape in _QWEN3_SIZES.items()},
    **{
        f"hkunlp/instructor-{name}": _t5_sizes(decoder=False)[size]
        for name, size in (("base", "base"), ("large", "large"), ("xl", "3b"))
    },
    "mini": Shape(layers=0, hidden=256, inner=0, vocabulary=30_522, source="https://github.com/MinishLab/model2vec"),
}

SHAPES: Mapping[tuple[ModelKind, str], Shape] = MappingProxyType(
    {
        **{("reranker", name): shape for name, shape in _RERANKERS.items()},
        **{("embedder", name): shape for name, shape in _EMBEDDERS.items()},
    }
)
"""By kind and id: the models whose signature does not tell their matrices."""


def shape_of(spec: ModelSpec) -> Shape | None:
    """Return the sizes of a model's matrices; None if they are not known."""
    listed = SHAPES.get((spec.kind, spec.id))
    found = spec.signature
    if listed is not None or found is None or found.model_type not in _BERT_LIKE or not found.vocab_size:
        return listed
    return _bert(found.num_hidden_layers, found.hidden_size, found.vocab_size, spec.sources.get("signature", ""))


def gflop_per_token(spec: ModelSpec) -> float | None:
    """Return the billions of floating-point operations that a token costs by default; None if that is not known.

    Of a model with a head on many layers, those up to its default layer count.
    """
    shape = shape_of(spec)
    if shape is None:
        return None
    layers = shape.layers if spec.layers is None else spec.layers.default
    return 2 * shape.weights_passed(layers) / 1e9


def speed_of(spec: ModelSpec) -> SpeedClass | None:
    """Return the class of a model's work per token; None if that is not known."""
    gflop = gflop_per_token(spec)
    if gflop is None:
        return None
    return next((name for name, limit in SPEED_LIMITS_GFLOP.items() if gflop <= limit), "very slow")
