"""PEG (TownsWu), an embedder for Chinese that was tuned from BGE."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.sources import CARD, TREE
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.spec import ModelSpec

__all__ = ["PEG"]

_FILES = f"{CARD}/commit/c86aea01f57080a7fdff49100d045521563f80f4"

PEG = (
    Family(
        architecture="bert",
        vocabulary=21_128,
        facts=ModelSpec(
            id="TownsWu/PEG",
            kind="embedder",
            family="peg",
            scorer="transformer",
            default_max_length_tokens=512,
            max_length_tokens=512,
            license="Apache-2.0",
            languages=("zh",),
            pooling="cls",
            reference="sentence-transformers",
            sources=MappingProxyType(
                {
                    "license": CARD,
                    "languages": CARD,
                    "max_length_tokens": _FILES,
                    "revision": TREE,
                    "signature": _FILES,
                    "pooling": CARD,
                    "dimensions": _FILES,
                    "instructions": CARD,
                }
            ),
            notes=(
                "Its card uses no instruction, so none is set; it was tuned from BAAI/bge-large-zh, and evaluations by "
                "others put that model's Chinese query instruction in front. main has only pickled weights; pinned to "
                "the hub's own conversion of it to safetensors."
            ),
        ),
        sizes=(Size(revision="df62571acfbfcbec6b65f5964b5e8f9bd8d284ef", layers=24, hidden=1024),),
    ),
)
