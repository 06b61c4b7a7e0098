"""Cross-encoders for English that were trained on MS MARCO: sentence-transformers' own, and luyug/Reranker's."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.sources import CARD, MTEB_LATER
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.shapes import bert_shape
from rerank_plugins.catalog.spec import ModelSpec

__all__ = ["MS_MARCO"]

_SBERT = "https://www.sbert.net/docs/cross_encoder/pretrained_models.html"
_LUYUG = "https://github.com/luyug/Reranker"


def _old_name(size: str) -> tuple[str, ...]:
    """Return the id before the repositories were renamed; the hub still answers to it."""
    return (f"cross-encoder/ms-marco-{size.replace('-L', '-L-')}",)


def _size(name: str, revision: str, layers: int, hidden: int) -> Size:
    return Size(name, revision, aliases=_old_name(name), shape=bert_shape(layers, hidden, source=_SBERT))


_SENTENCE_TRANSFORMERS = Family(
    architecture="bert",
    facts=ModelSpec(
        id="cross-encoder/ms-marco-{size}",
        kind="reranker",
        family="ms-marco",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("en",),
        truncation="longest_first",
        reference="transformers, sentence-transformers",
        sources=MappingProxyType(
            {
                "license": CARD,
                "languages": CARD,
                "max_length_tokens": _SBERT,
                "truncation": _SBERT,
                "score_scale": CARD,
                "revision": f"{MTEB_LATER}/rerankers_custom.py",
            }
        ),
        notes="Trained on MS MARCO passages in English.",
    ),
    sizes=(
        _size("TinyBERT-L2-v2", "81d1926f67cb8eee2c2be17ca9f793c7c3bd20cc", 2, 128),
        _size("MiniLM-L2-v2", "1b5cd67b15209f24824c50370e0397743aa9b787", 2, 384),
        _size("MiniLM-L4-v2", "777b2f369bc1c2f850df8bd367ed1654bda4497b", 4, 384),
        _size("MiniLM-L6-v2", "c5ee24cb16019beea0893ab7796b1df96625c6b8", 6, 384),
        _size("MiniLM-L12-v2", "7b0235231ca2674cb8ca8f022859a6eba2b1c968", 12, 384),
    ),
)
_LUYU = Family(
    architecture="bert",
    facts=ModelSpec(
        id="Luyu/bert-base-mdoc-{size}",
        kind="reranker",
        family="luyu",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="see its card",
        languages=("en",),
        truncation="only_second",
        reference="transformers, sentence-transformers",
        sources=MappingProxyType(
            {
                "license": CARD,
                "languages": CARD,
                "max_length_tokens": _LUYUG,
                "truncation": _LUYUG,
                "score_scale": _LUYUG,
            }
        ),
        notes="Trained by luyug/Reranker on MS MARCO documents; its own examples cut at 512.",
    ),
    sizes=(
        Size("bm25", shape=bert_shape(12, 768, source=_LUYUG)),
        Size("hdct", shape=bert_shape(12, 768, source=_LUYUG)),
    ),
)

MS_MARCO = (_SENTENCE_TRANSFORMERS, _LUYU)
