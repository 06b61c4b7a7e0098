"""The small models that come with a package: ``rerank-plugins-mini`` (English), ``rerank-plugins-mini-zh``."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.sources import HUB
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.shapes import Shape, bert_shape
from rerank_plugins.catalog.spec import Instruction, ModelSpec

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
_CHINESE_EMBEDDER = Family(
    architecture="bert",
    facts=ModelSpec(
        id="mini-zh",
        kind="embedder",
        family="e5",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh", "en"),
        pooling="mean",
        instructions=MappingProxyType({"retrieval": Instruction(query="query: ", document="passage: ")}),
        package="rerank_plugins_mini_zh",
        reference="transformers",
        notes=(
            "multilingual-e5-small in 4 bits, its vocabulary cut to Chinese and English; the weights come with the "
            "package, so nothing is downloaded."
        ),
    ),
    sizes=(Size(layers=12, hidden=384, vocabulary=30_000),),
)
_CHINESE_RERANKER = Family(
    architecture="rerank_plugins_segment_similarity",
    facts=ModelSpec(
        id="mini-zh",
        kind="reranker",
        family="mini",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh", "en"),
        truncation="only_second",
        package="rerank_plugins_mini_zh",
        reference="its training code",
        notes=(
            "Trained by this project from multilingual-e5-small; the weights come with the package, so nothing is "
            "downloaded."
        ),
    ),
    sizes=(Size(shape=bert_shape(15, 384, vocabulary=30_000, source=f"{HUB}/intfloat/multilingual-e5-small")),),
)

MINI = (_RERANKER, _EMBEDDER, _CHINESE_EMBEDDER, _CHINESE_RERANKER)
