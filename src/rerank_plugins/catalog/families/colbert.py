"""Late interaction: ColBERT's checkpoints and their kin.

How queries and documents are read (markers, lengths, skip list, projection) is in the checkpoints' own files, which
decide; here is what those do not say. Each is an embedder too: ``Embedder(id).encode_documents(...)`` gives its token
vectors. jina-colbert is not here: its architecture comes as Python code with the checkpoint, which is refused without
``trust_remote_code`` and run by no test.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from rerank_plugins.catalog.families.sources import CARD, COMMIT, CONFIG, HUB
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.shapes import Shape, bert_shape
from rerank_plugins.catalog.spec import ModelSpec

__all__ = ["COLBERT"]

_PAPER = "https://arxiv.org/abs/2004.12832"
_SOURCES = {
    "license": CARD,
    "languages": CARD,
    "max_length_tokens": CONFIG,
    "default_max_length_tokens": CARD,
    "truncation": "https://github.com/stanford-futuredata/ColBERT/tree/main/colbert/modeling/tokenization",
    "score_scale": _PAPER,
    "highest_score": _PAPER,
    "revision": COMMIT,
}
_MODERNBERT = Shape(
    layers=22,
    hidden=768,
    inner=1152,
    vocabulary=50_368,
    gated=True,
    source="https://github.com/huggingface/transformers/blob/main/src/transformers/models/modernbert/configuration_modernbert.py",
)


_STANFORD = Family(
    architecture="bert",
    facts=ModelSpec(
        id="{size}",
        kind="reranker",
        family="colbert",
        scorer="late-interaction",
        default_max_length_tokens=180,
        max_length_tokens=512,
        license="MIT",
        languages=("en",),
        truncation="only_second",
        score_scale="cosine",
        highest_score=32.0,
        reference="colbert-ai 0.2.22, sentence-transformers",
        sources=MappingProxyType(_SOURCES),
    ),
    sizes=(
        Size(
            "colbert-ir/colbertv2.0",
            "c1e84128e85ef755c096a95bdb06b47793b13acf",
            shape=bert_shape(12, 768, 30_522, f"{HUB}/colbert-ir/colbertv2.0/blob/main/config.json"),
            notes="Vectors of 128 numbers.",
        ),
        Size(
            "answerdotai/answerai-colbert-small-v1",
            license="Apache-2.0",
            tokens=512,
            shape=bert_shape(12, 384, 30_522, f"{HUB}/answerdotai/answerai-colbert-small-v1/blob/main/config.json"),
            notes="33 million parameters, vectors of 96 numbers.",
        ),
    ),
)
_PYLATE = Family(
    architecture="modernbert",
    facts=replace(
        _STANFORD.facts,
        default_max_length_tokens=300,
        max_length_tokens=8192,
        license="Apache-2.0",
        reference="sentence-transformers",
        notes=(
            "Needs transformers 4.48 or newer. Trained on documents of 300 tokens; its authors use it with longer ones "
            "too: max_length=8192."
        ),
    ),
    sizes=(Size("lightonai/GTE-ModernColBERT-v1", shape=_MODERNBERT),),
)
COLBERT = (_STANFORD, _PYLATE)
