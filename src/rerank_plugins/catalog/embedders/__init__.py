"""The embedders that are known by name: facts only, each with the address it was read at.

Parameter counts published by mteb fix the signatures: embedding parameters divided by the hidden size give
the vocabulary, and the active parameters give the layers.
"""

from __future__ import annotations

from rerank_plugins.catalog.embedders.baai import BAAI
from rerank_plugins.catalog.embedders.bge import BGE_ENCODERS
from rerank_plugins.catalog.embedders.chinese import CHINESE
from rerank_plugins.catalog.embedders.e5 import E5
from rerank_plugins.catalog.embedders.instructed import INSTRUCTED
from rerank_plugins.catalog.embedders.qwen import QWEN
from rerank_plugins.catalog.spec import ModelSpec

__all__ = ["EMBEDDERS"]

_BUNDLED = (
    ModelSpec(
        id="mini",
        kind="embedder",
        family="mini",
        scorer="static",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("en",),
        pooling="mean",
        dimensions=256,
        package="rerank_plugins_mini",
        reference="model2vec",
        notes="Trained by this project; the weights come with the package, so nothing is downloaded.",
    ),
)

EMBEDDERS: tuple[ModelSpec, ...] = (*BGE_ENCODERS, *BAAI, *CHINESE, *E5, *QWEN, *INSTRUCTED, *_BUNDLED)
