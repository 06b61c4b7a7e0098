"""tao-8k (amu), an embedder for Chinese with long inputs."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.sources import CARD, STELLA_CONFIG
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.spec import ModelSpec

__all__ = ["TAO"]

_USED_IN = "https://github.com/Tseing/chinese-idiom-embedding"
_BAIDU = "https://cloud.baidu.com/doc/WENXINWORKSHOP/s/im3e22c0k"

TAO = (
    Family(
        architecture="bert",
        facts=ModelSpec(
            id="amu/tao-8k",
            kind="embedder",
            family="tao",
            scorer="transformer",
            default_max_length_tokens=8192,
            max_length_tokens=8192,
            license="not known",
            languages=("zh",),
            pooling="mean",
            reference="sentence-transformers",
            sources=MappingProxyType(
                {
                    "license": CARD,
                    "languages": _BAIDU,
                    "max_length_tokens": _BAIDU,
                    "revision": _USED_IN,
                    "pooling": STELLA_CONFIG,
                    "dimensions": _USED_IN,
                    "instructions": CARD,
                }
            ),
            notes=(
                "Its licence and pooling were not read from its own files: mean is what its parent family (stella) and "
                "sentence-transformers use, and the checkpoint's 1_Pooling wins when it is there."
            ),
        ),
        sizes=(Size(revision="bc783a14a907aa520ebf978787d3d6513803de13", dimensions=1024),),
    ),
)
