"""BCE (NetEase Youdao): a reranker and an embedder for Chinese and English."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.sources import CARD, CONFIG, TREE, XINFERENCE_EMBEDDERS, XINFERENCE_RERANKERS
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.spec import ModelSpec

__all__ = ["BCE"]

_CODE = "https://github.com/netease-youdao/BCEmbedding/blob/342b4a52ca3587407bca392fda6f05065e17118b"

_RERANKER = Family(
    architecture="xlm-roberta",
    vocabulary=250_002,
    positions=514,
    facts=ModelSpec(
        id="maidalun1020/bce-reranker-{size}",
        kind="reranker",
        family="bce",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("zh", "en", "ja", "ko"),
        truncation="longest_first",
        reference="BCEmbedding 0.1.5",
        sources=MappingProxyType(
            {
                "license": CARD,
                "languages": f"{_CODE}/README.md",
                "max_length_tokens": f"{_CODE}/BCEmbedding/models/reranker.py",
                "revision": XINFERENCE_RERANKERS,
                "signature": CONFIG,
                "truncation": f"{_CODE}/BCEmbedding/models/reranker.py",
                "score_scale": f"{_CODE}/BCEmbedding/models/reranker.py",
            }
        ),
        notes=(
            "Its authors read the sigmoid of the logit as an absolute score and advise to drop below about 0.35. The "
            "pinned commit has no safetensors, only pickled weights: pass allow_pickle=True, or use the copy "
            "InfiniFlow/bce-reranker-base_v1 at commit f80323a3e3e04b58099484906eb5bfb192315db8 with family='bce'. "
            "The hub may ask you to log in and accept its conditions."
        ),
    ),
    sizes=(Size("base_v1", "eaa31a577a0574e87a08959bd229ca14ce1b5496", layers=12, hidden=768),),
)
_EMBEDDER = Family(
    architecture="xlm-roberta",
    vocabulary=250_002,
    facts=ModelSpec(
        id="maidalun1020/bce-embedding-{size}",
        kind="embedder",
        family="bce",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("zh", "en"),
        pooling="cls",
        reference="BCEmbedding 0.1.5",
        sources=MappingProxyType(
            {
                "license": CARD,
                "languages": f"{_CODE}/README.md",
                "max_length_tokens": f"{_CODE}/BCEmbedding/models/embedding.py",
                "revision": TREE,
                "signature": CONFIG,
                "pooling": f"{_CODE}/BCEmbedding/models/embedding.py",
                "dimensions": XINFERENCE_EMBEDDERS,
                "instructions": f"{_CODE}/README.md",
            }
        ),
        notes="main has only pickled weights; pinned to the hub's own conversion of it to safetensors.",
    ),
    sizes=(Size("base_v1", "58daaf15c598a325b79d4cd55646814fd691aacd", layers=12, hidden=768),),
)

BCE = (_RERANKER, _EMBEDDER)
