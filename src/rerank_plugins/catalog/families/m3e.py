"""M3E (Moka): embedders for Chinese and English, for research only."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.sources import MTEB_LATER, TREE, XINFERENCE_EMBEDDERS
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.spec import ModelSpec

__all__ = ["M3E"]

_MTEB = (
    "https://github.com/embeddings-benchmark/mteb/blob/89c64a1a3e8c92113d3b61c6b8dc197bac299411"
    "/mteb/models/model_implementations/moka_models.py"
)
_LATER = f"{MTEB_LATER}/moka_models.py"
_TRAINING = "https://github.com/wangyuxinwhy/uniem/blob/0ab6c0c5e3842d6e752a1827777990b202a6e1cb/scripts/train_m3e.py"
_SMALLER = MappingProxyType(
    {
        "revision": _LATER,
        "signature": _LATER,
        "dimensions": _LATER,
        "pooling": _TRAINING,
        "normalize": _TRAINING,
    }
)
_MEAN = "Trained with the mean, not normalised, so compare by cosine; the checkpoint's own module files win."

M3E = (
    Family(
        architecture="bert",
        vocabulary=21_128,
        facts=ModelSpec(
            id="moka-ai/m3e-{size}",
            kind="embedder",
            family="m3e",
            scorer="transformer",
            default_max_length_tokens=512,
            max_length_tokens=512,
            license="non-commercial",
            languages=("zh", "en"),
            pooling="mean",
            normalize=False,
            reference="sentence-transformers",
            sources=MappingProxyType(
                {
                    "license": _MTEB,
                    "languages": _MTEB,
                    "max_length_tokens": _MTEB,
                    "revision": _MTEB,
                    "signature": TREE,
                    "pooling": TREE,
                    "normalize": TREE,
                    "dimensions": XINFERENCE_EMBEDDERS,
                    "instructions": _MTEB,
                }
            ),
        ),
        sizes=(
            Size(
                "large",
                "12900375086c37ba5d83d1e417b21dc7d1d1f388",
                layers=24,
                hidden=1024,
                notes=(
                    "No module files: mean pooling without normalisation is what sentence-transformers does then, so "
                    "compare by cosine. Vectors have 1024 numbers, though its card says 768. main has no safetensors, "
                    "only pickled weights: pass revision='refs/pr/5' (a conversion) or allow_pickle=True."
                ),
            ),
            Size(
                "base",
                "764b537a0e50e5c7d64db883f2d2e051cbe3c64c",
                layers=12,
                hidden=768,
                notes=_MEAN,
                sources=_SMALLER,
            ),
            Size(
                "small",
                "44c696631b2a8c200220aaaad5f987f096e986df",
                layers=4,
                hidden=512,
                notes=_MEAN,
                sources=_SMALLER,
            ),
        ),
    ),
)
