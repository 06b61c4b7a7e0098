"""Piccolo (SenseTime) and Stella (infgrad), which was trained from it: embedders for Chinese."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.sources import CARD, MTEB_LATER, STELLA_CONFIG, TREE
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.spec import Instruction, ModelSpec

__all__ = ["PICCOLO"]

_MTEB = f"{MTEB_LATER}/piccolo_models.py"
_MEAN = (
    "Its card loads it with sentence-transformers, which takes the mean where a checkpoint has no pooling file; its "
    "own file wins when it is there."
)

_PICCOLO = Family(
    architecture="bert",
    vocabulary=21_128,
    facts=ModelSpec(
        id="sensenova/piccolo-{size}-zh",
        kind="embedder",
        family="piccolo",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh",),
        pooling="mean",
        instructions=MappingProxyType({"retrieval": Instruction(query="查询: ", document="结果: ")}),
        reference="sentence-transformers",
        sources=MappingProxyType(
            {
                "license": CARD,
                "languages": CARD,
                "max_length_tokens": CARD,
                "revision": TREE,
                "signature": STELLA_CONFIG,
                "pooling": TREE,
                "dimensions": CARD,
                "instructions": CARD,
            }
        ),
    ),
    sizes=(
        Size(
            "large",
            "b0fdd58e4ba5d2da8ff2725057a9b8d6dd3bd3b5",
            layers=24,
            hidden=1024,
            notes=(
                "No pooling file: mean is what sentence-transformers does then. main has only pickled weights; pinned "
                "to the hub's own conversion of it to safetensors."
            ),
        ),
        Size(
            "base",
            "47c0a63b8f667c3482e05b2fd45577bb19252196",
            layers=12,
            hidden=768,
            sources=MappingProxyType({"revision": _MTEB, "signature": _MTEB, "dimensions": _MTEB, "pooling": CARD}),
            notes=_MEAN,
        ),
    ),
)
_NO_LICENCE = "Its card states no licence: ask its author before you use it commercially."
_STELLA = Family(
    architecture="bert",
    vocabulary=21_128,
    facts=ModelSpec(
        id="infgrad/stella-{size}-zh-v2",
        kind="embedder",
        family="stella",
        scorer="transformer",
        default_max_length_tokens=1024,
        max_length_tokens=1024,
        license="none stated",
        languages=("zh",),
        pooling="mean",
        reference="sentence-transformers",
        sources=MappingProxyType(
            {
                "license": TREE,
                "languages": CARD,
                "max_length_tokens": CARD,
                "revision": TREE,
                "signature": STELLA_CONFIG,
                "pooling": STELLA_CONFIG,
                "dimensions": CARD,
                "instructions": CARD,
            }
        ),
    ),
    sizes=(
        Size(
            "large",
            "8436ce9a11c2b7926746ad2ec0c665ba2fe09e14",
            layers=24,
            hidden=1024,
            notes=(
                f"{_NO_LICENCE} main has no safetensors, only pickled weights: pass revision='refs/pr/1' (the hub's "
                "own conversion) or allow_pickle=True."
            ),
        ),
        Size(
            "base",
            layers=12,
            hidden=768,
            license="not known",
            sources=MappingProxyType({"license": CARD, "signature": CARD, "pooling": CARD}),
            notes=f"Its licence was not read: see its card. {_MEAN}",
        ),
    ),
)

PICCOLO = (_PICCOLO, _STELLA)
