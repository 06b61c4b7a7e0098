"""BGE (BAAI) on BERT and XLM-R: cross-encoders, embedders of one language, and BGE-M3 with three kinds of vectors."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.sources import (
    CARD,
    COMMIT,
    CONFIG,
    FLAG_POOLING,
    MTEB,
    TREE,
    XINFERENCE_EMBEDDERS,
    XINFERENCE_RERANKERS,
)
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.spec import Instruction, ModelSpec

__all__ = ["BGE"]

_LIST = (
    "https://github.com/FlagOpen/FlagEmbedding/blob/7f86295b8ce71ef9cb31793ce39bc1bf7ea14a83"
    "/research/llm_reranker/README.md"
)
_CODE = (
    "https://github.com/FlagOpen/FlagEmbedding/blob/dfdace383d5602240830700b87e19cc91ec5e0a5"
    "/FlagEmbedding/inference/reranker/encoder_only/base.py"
)
_MTEB = f"{MTEB}/bge_models.py"

_CROSS_ENCODERS = Family(
    architecture="xlm-roberta",
    vocabulary=250_002,
    positions=514,
    facts=ModelSpec(
        id="BAAI/bge-reranker-{size}",
        kind="reranker",
        family="bge",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh", "en"),
        truncation="only_second",
        reference="FlagEmbedding 1.3.5",
        sources=MappingProxyType(
            {
                "license": CARD,
                "languages": _LIST,
                "max_length_tokens": XINFERENCE_RERANKERS,
                "revision": TREE,
                "signature": _LIST,
                "truncation": _CODE,
                "score_scale": _CODE,
            }
        ),
    ),
    sizes=(
        Size("base", "2cfc18c9415c912f9d8155881c133215df768a70", layers=12, hidden=768),
        Size("large", "55611d7bca2a7133960a6d3b71e083071bbfc312", layers=24, hidden=1024),
    ),
)
_MULTILINGUAL = Family(
    architecture="xlm-roberta",
    vocabulary=250_002,
    positions=8194,
    facts=ModelSpec(
        id="BAAI/bge-reranker-{size}",
        kind="reranker",
        family="bge",
        scorer="cross-encoder",
        default_max_length_tokens=1024,
        max_length_tokens=8192,
        license="Apache-2.0",
        languages=("multilingual",),
        truncation="only_second",
        reference="FlagEmbedding 1.3.5",
        sources=MappingProxyType(
            {
                "license": CARD,
                "languages": _LIST,
                "default_max_length_tokens": CARD,
                "max_length_tokens": CONFIG,
                "revision": TREE,
                "signature": CONFIG,
                "truncation": _CODE,
                "score_scale": _CODE,
            }
        ),
        notes="The weights allow 8192 tokens; its card advises 1024, FlagEmbedding cuts at 512 unless told otherwise.",
    ),
    sizes=(Size("v2-m3", "953dc6f6f85a1b2dbfca4c34a2796e7dde08d41e", layers=24, hidden=1024),),
)


def _encoders(*, language: str, vocabulary: int, query: str, sizes: tuple[Size, ...]) -> Family:
    """Return the embedders of one language."""
    facts = dict.fromkeys(
        ("license", "languages", "max_length_tokens", "revision", "signature", "dimensions", "instructions"), _MTEB
    )
    return Family(
        architecture="bert",
        vocabulary=vocabulary,
        facts=ModelSpec(
            id="BAAI/bge-{size}",
            kind="embedder",
            family="bge",
            scorer="transformer",
            default_max_length_tokens=512,
            max_length_tokens=512,
            license="MIT",
            languages=(language,),
            pooling="cls",
            instructions=MappingProxyType({"retrieval": Instruction(query=query)}),
            reference="FlagEmbedding 1.3.5",
            sources=MappingProxyType({**facts, "pooling": FLAG_POOLING}),
        ),
        sizes=sizes,
    )


def _superseded(name: str) -> str:
    return f"Superseded by BAAI/bge-{name}-v1.5."


_WRONG_WIDTH = "Vectors have 384 numbers; mteb's table says 512, which its own parameter count rules out."
_PICKLED = (
    "main has no safetensors, only pickled weights: pass revision='refs/pr/{n}' (the hub's own conversion) or "
    "allow_pickle=True."
)
_CHINESE = _encoders(
    language="zh",
    vocabulary=21_128,
    query="为这个句子生成表示以用于检索相关文章：",
    sizes=(
        Size("small-zh-v1.5", "7999e1d3359715c523056ef9478215996d62a620", layers=4, hidden=512),
        Size(
            "base-zh-v1.5",
            "f03589ceff5aac7111bd60cfc7d497ca17ecac65",
            layers=12,
            hidden=768,
            notes=_PICKLED.format(n=1),
        ),
        Size(
            "large-zh-v1.5",
            "c11661ba3f9407eeb473765838eb4437e0f015c0",
            layers=24,
            hidden=1024,
            sources=MappingProxyType({"revision": TREE}),
            notes=(
                "Pinned to the last commit of main that still has model.safetensors; main has since deleted that file "
                "and kept the pickle of the same weights."
            ),
        ),
        Size(
            "small-zh",
            "1d2363c5de6ce9ba9c890c8e23a4c72dce540ca8",
            layers=4,
            hidden=512,
            notes=f"{_superseded('small-zh')} {_PICKLED.format(n=2)}",
        ),
        Size(
            "base-zh",
            "0e5f83d4895db7955e4cb9ed37ab73f7ded339b6",
            layers=12,
            hidden=768,
            notes=_superseded("base-zh"),
        ),
        Size(
            "large-zh",
            "b5d9f5c027e87b6f0b6fa4b614f8f9cdc45ce0e8",
            layers=24,
            hidden=1024,
            notes=_superseded("large-zh"),
        ),
    ),
)
_ENGLISH = _encoders(
    language="en",
    vocabulary=30_522,
    query="Represent this sentence for searching relevant passages: ",
    sizes=(
        Size(
            "small-en-v1.5",
            "5c38ec7c405ec4b44b94cc5a9bb96e735b38267a",
            layers=12,
            hidden=384,
            sources=MappingProxyType({"dimensions": XINFERENCE_EMBEDDERS}),
            notes=_WRONG_WIDTH,
        ),
        Size("base-en-v1.5", "a5beb1e3e68b9ab74eb54cfd186867f64f240e1a", layers=12, hidden=768),
        Size("large-en-v1.5", "d4aa6901d3a41ba39fb536a557fa166f842b0e09", layers=24, hidden=1024),
        Size(
            "small-en",
            "4778d71a06863076696b03fd2777eb118712cad8",
            layers=12,
            hidden=384,
            sources=MappingProxyType({"dimensions": CARD}),
            notes=f"{_superseded('small-en')} {_WRONG_WIDTH}",
        ),
        Size(
            "base-en",
            "b737bf5dcc6ee8bdc530531266b4804a5d77b5d8",
            layers=12,
            hidden=768,
            notes=_superseded("base-en"),
        ),
        Size(
            "large-en",
            "abe7d9d814b775ca171121fb03f394dc42974275",
            layers=24,
            hidden=1024,
            notes=_superseded("large-en"),
        ),
    ),
)
_M3 = Family(
    architecture="xlm-roberta",
    vocabulary=250_002,
    facts=ModelSpec(
        id="BAAI/bge-m3",
        kind="embedder",
        family="bge",
        scorer="multi-vector",
        default_max_length_tokens=8192,
        max_length_tokens=8192,
        license="MIT",
        languages=("multilingual",),
        pooling="cls",
        reference="FlagEmbedding 1.4.2",
        sources=MappingProxyType(
            {
                "license": _MTEB,
                "languages": _MTEB,
                "max_length_tokens": CARD,
                "revision": COMMIT,
                "signature": _MTEB,
                "pooling": FLAG_POOLING,
                "dimensions": _MTEB,
                "instructions": CARD,
            }
        ),
        notes=(
            "Also gives lexical weights and one vector per token (Embedder.encode_documents); the two heads for "
            "those are published as pickles and read only when pickles are allowed, or once converted to safetensors. "
            "main has only pickled weights; pinned to the hub's own conversion of it (pull request 130), which adds "
            "model.safetensors and changes nothing else."
        ),
    ),
    sizes=(Size(revision="9a0624b896d81da7492a910ffa53731274b6cf3d", layers=24, hidden=1024),),
)

BGE = (_CROSS_ENCODERS, _MULTILINGUAL, _CHINESE, _ENGLISH, _M3)
