"""GTE (Alibaba): rerankers on ModernBERT and on its own encoder, embedders for Chinese and for English.

mteb's table says 1024 for the vectors of every Chinese size; the parameter counts in it fix the widths.
"""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.sources import CARD, FLAG_POOLING, HUB, MTEB, MTEB_LATER, TREE
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.shapes import Shape
from rerank_plugins.catalog.spec import ModelSpec

__all__ = ["GTE"]

_RERANKER_SOURCES = MappingProxyType(
    {
        "license": CARD,
        "languages": CARD,
        "max_length_tokens": CARD,
        "truncation": CARD,
        "score_scale": CARD,
        "revision": TREE,
    }
)
_MODERNBERT_RERANKER = Family(
    architecture="modernbert",
    facts=ModelSpec(
        id="Alibaba-NLP/gte-reranker-modernbert-{size}",
        kind="reranker",
        family="gte",
        scorer="cross-encoder",
        default_max_length_tokens=8192,
        max_length_tokens=8192,
        license="Apache-2.0",
        languages=("en",),
        truncation="longest_first",
        reference="transformers, sentence-transformers",
        sources=_RERANKER_SOURCES,
        notes="Needs transformers 4.48 or newer.",
    ),
    sizes=(
        Size(
            "base",
            "f7481e6055501a30fb19d090657df9ec1f79ab2c",
            notes="149 million parameters.",
            shape=Shape(
                layers=22,
                hidden=768,
                inner=1152,
                vocabulary=50_368,
                gated=True,
                source="https://github.com/huggingface/transformers/blob/main/src/transformers/models/modernbert/configuration_modernbert.py",
            ),
        ),
    ),
)
_MULTILINGUAL_RERANKER = Family(
    architecture="gte",
    facts=ModelSpec(
        id="Alibaba-NLP/gte-multilingual-reranker-{size}",
        kind="reranker",
        family="gte",
        scorer="cross-encoder",
        default_max_length_tokens=8192,
        max_length_tokens=8192,
        license="Apache-2.0",
        languages=("multilingual",),
        truncation="longest_first",
        reference="transformers, sentence-transformers",
        sources=_RERANKER_SOURCES,
        notes=(
            "transformers 5 has this architecture as 'gte' and tests it with revision='refs/pr/23' of this "
            "repository: that revision loads without remote code there. The pinned one calls it 'new' and needs "
            "trust_remote_code=True, with code that was written for transformers 4."
        ),
    ),
    sizes=(
        Size(
            "base",
            "8215cf04918ba6f7b6a62bb44238ce2953d8831c",
            shape=Shape(
                layers=12,
                hidden=768,
                inner=3072,
                vocabulary=250_048,
                gated=True,
                source="https://arxiv.org/abs/2407.19669",
            ),
        ),
    ),
)

_MTEB = f"{MTEB}/gte_models.py"
_LATER = f"{MTEB_LATER}/gte_models.py"
_SMALLER = MappingProxyType({"pooling": FLAG_POOLING, "dimensions": _LATER, "revision": _LATER, "signature": _LATER})
_CHINESE = Family(
    architecture="bert",
    vocabulary=21_128,
    facts=ModelSpec(
        id="thenlper/gte-{size}-zh",
        kind="embedder",
        family="gte",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh",),
        pooling="cls",
        reference="sentence-transformers",
        sources=MappingProxyType(
            {
                "license": _MTEB,
                "languages": _MTEB,
                "max_length_tokens": _MTEB,
                "revision": _MTEB,
                "signature": _MTEB,
                "pooling": f"{HUB}/thenlper/gte-large-zh/commit/c614179878be6093d99934b3544d71533b7e2b0f",
                "dimensions": _MTEB,
                "instructions": _MTEB,
            }
        ),
    ),
    sizes=(
        Size("large", "64c364e579de308104a9b2c170ca009502f4f545", layers=24, hidden=1024),
        Size("base", "71ab7947d6fac5b64aa299e6e40e6c2b2e85976c", layers=12, hidden=768, sources=_SMALLER),
        Size("small", "af7bd46fbb00b3a6963c8dd7f1786ddfbfbe973a", layers=6, hidden=512, sources=_SMALLER),
    ),
)
_MTEB_ENGLISH = f"{MTEB_LATER}/misc_models.py"
_ENGLISH = Family(
    architecture="bert",
    vocabulary=30_522,
    facts=ModelSpec(
        id="thenlper/gte-{size}",
        kind="embedder",
        family="gte",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("en",),
        pooling="mean",
        reference="sentence-transformers",
        sources=MappingProxyType(
            {
                "license": _MTEB_ENGLISH,
                "languages": _MTEB_ENGLISH,
                "max_length_tokens": _MTEB_ENGLISH,
                "revision": _MTEB_ENGLISH,
                "signature": _MTEB_ENGLISH,
                "pooling": FLAG_POOLING,
                "dimensions": _MTEB_ENGLISH,
                "instructions": CARD,
            }
        ),
    ),
    sizes=(
        Size("large", "4bef63f39fcc5e2d6b0aae83089f307af4970164", layers=24, hidden=1024),
        Size("base", "c078288308d8dee004ab72c6191778064285ec0c", layers=12, hidden=768),
        Size("small", "17e1f347d17fe144873b1201da91788898c639cd", layers=12, hidden=384),
    ),
)

GTE = (_MODERNBERT_RERANKER, _MULTILINGUAL_RERANKER, _CHINESE, _ENGLISH)
