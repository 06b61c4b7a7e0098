"""Jina's rerankers: version 1 runs with the checkpoint's own code, version 2 without."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.sources import CARD, HUB, XINFERENCE_RERANKERS
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.shapes import Shape, bert_shape
from rerank_plugins.catalog.spec import ModelSpec

__all__ = ["JINA"]


def _v1_shape(layers: int) -> Shape:
    source = "https://jina.ai/news/smaller-faster-cheaper-jina-rerankers-turbo-and-tiny"
    return Shape(layers=layers, hidden=384, inner=1536, vocabulary=61_056, gated=True, source=source)


_V1 = Family(
    # What its config says; the code that comes with it computes something else.
    architecture="bert",
    facts=ModelSpec(
        id="jinaai/jina-reranker-v1-{size}-en",
        kind="reranker",
        family="jina-v1",
        scorer="cross-encoder",
        default_max_length_tokens=8192,
        max_length_tokens=8192,
        license="Apache-2.0",
        languages=("en",),
        truncation="longest_first",
        # No reference: the code comes from the hub and is run by no test.
        sources=MappingProxyType(
            dict.fromkeys(("license", "languages", "max_length_tokens", "truncation", "score_scale"), CARD)
        ),
        notes=(
            "Its architecture comes as Python code with the checkpoint: loading it needs trust_remote_code=True and is "
            "refused without. It then runs as a whole, padded, in its own precision."
        ),
    ),
    sizes=(Size("tiny", shape=_v1_shape(4)), Size("turbo", shape=_v1_shape(6))),
)
_V2 = Family(
    architecture="XLMRobertaForSequenceClassification",
    facts=ModelSpec(
        id="jinaai/jina-reranker-v2-{size}-multilingual",
        kind="reranker",
        family="jina-v2",
        scorer="cross-encoder",
        default_max_length_tokens=1024,
        max_length_tokens=1024,
        license="CC-BY-NC-4.0",
        languages=("multilingual",),
        truncation="longest_first",
        reference="transformers, the same weights under its names",
        sources=MappingProxyType(
            {
                "license": CARD,
                "languages": CARD,
                "max_length_tokens": XINFERENCE_RERANKERS,
                "truncation": CARD,
                "score_scale": CARD,
                "revision": XINFERENCE_RERANKERS,
            }
        ),
        notes=(
            "An XLM-R classifier under flash-attention's names; runs without the checkpoint's own code. Its rerank() "
            "splits long documents into windows: long_documents='maxp'."
        ),
    ),
    sizes=(
        Size(
            "base",
            "298e48cada4a9318650d7fbd795f63827f884087",
            shape=bert_shape(12, 768, 250_002, f"{HUB}/jinaai/jina-reranker-v2-base-multilingual"),
        ),
    ),
)

JINA = (_V1, _V2)
