"""The two small models of this project, which come with the package ``rerank-plugins-mini``."""

from __future__ import annotations

from rerank_plugins.catalog.families.sources import HUB
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.shapes import Shape, bert_shape
from rerank_plugins.catalog.spec import ModelSpec

__all__ = ["MINI"]

_NOTES = "Trained by this project; the weights come with the package, so nothing is downloaded."

_RERANKER = Family(
    architecture="rerank_plugins_segment_similarity",
    facts=ModelSpec(
        id="mini",
        kind="reranker",
        family="mini",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("en",),
        truncation="only_second",
        package="rerank_plugins_mini",
        reference="its training code",
        notes=_NOTES,
    ),
    sizes=(Size(shape=bert_shape(6, 384, source=f"{HUB}/sentence-transformers/all-MiniLM-L6-v2")),),
)
_EMBEDDER = Family(
    architecture="model2vec",
    facts=ModelSpec(
        id="mini",
        kind="embedder",
        family="mini",
        scorer="static",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("en",),
        pooling="mean",
        package="rerank_plugins_mini",
        reference="model2vec",
        notes=_NOTES,
    ),
    sizes=(
        Size(
            dimensions=256,
            shape=Shape(
                layers=0, hidden=256, inner=0, vocabulary=30_522, source="https://github.com/MinishLab/model2vec"
            ),
        ),
    ),
)

MINI = (_RERANKER, _EMBEDDER)
