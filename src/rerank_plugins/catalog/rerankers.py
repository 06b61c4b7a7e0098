"""The rerankers that are known by name: facts only, each with the place it was read at."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.spec import ModelSpec, Signature

__all__ = ["RERANKERS"]

RERANKERS: tuple[ModelSpec, ...] = (
    ModelSpec(
        id="BAAI/bge-reranker-base",
        kind="reranker",
        family="bge",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=(
            "zh",
            "en",
        ),
        signature=Signature(
            model_type="xlm-roberta", hidden_size=768, num_hidden_layers=12, vocab_size=250_002
        ),
        truncation="only_second",
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-reranker-base",
                "languages": "https://huggingface.co/BAAI/bge-reranker-base",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-reranker-base/blob/main/config.json",
                "signature": "https://huggingface.co/BAAI/bge-reranker-base/blob/main/config.json",
                "truncation": "https://github.com/FlagOpen/FlagEmbedding/blob/v1.3.5/FlagEmbedding/inference/reranker/encoder_only/base.py",
            }
        ),
        notes="",
    ),
    ModelSpec(
        id="BAAI/bge-reranker-large",
        kind="reranker",
        family="bge",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=(
            "zh",
            "en",
        ),
        signature=Signature(
            model_type="xlm-roberta", hidden_size=1024, num_hidden_layers=24, vocab_size=250_002
        ),
        truncation="only_second",
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-reranker-large",
                "languages": "https://huggingface.co/BAAI/bge-reranker-large",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-reranker-large/blob/main/config.json",
                "signature": "https://huggingface.co/BAAI/bge-reranker-large/blob/main/config.json",
                "truncation": "https://github.com/FlagOpen/FlagEmbedding/blob/v1.3.5/FlagEmbedding/inference/reranker/encoder_only/base.py",
            }
        ),
        notes="",
    ),
    ModelSpec(
        id="BAAI/bge-reranker-v2-m3",
        kind="reranker",
        family="bge",
        scorer="cross-encoder",
        default_max_length_tokens=1024,
        max_length_tokens=8192,
        license="Apache-2.0",
        languages=("multilingual",),
        signature=Signature(
            model_type="xlm-roberta", hidden_size=1024, num_hidden_layers=24, vocab_size=250_002
        ),
        truncation="only_second",
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-reranker-v2-m3",
                "languages": "https://huggingface.co/BAAI/bge-reranker-v2-m3",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-reranker-v2-m3/blob/main/config.json",
                "signature": "https://huggingface.co/BAAI/bge-reranker-v2-m3/blob/main/config.json",
                "truncation": "https://github.com/FlagOpen/FlagEmbedding/blob/v1.3.5/FlagEmbedding/inference/reranker/encoder_only/base.py",
                "default_max_length_tokens": "https://huggingface.co/BAAI/bge-reranker-v2-m3",
            }
        ),
        notes="",
    ),
    ModelSpec(
        id="maidalun1020/bce-reranker-base_v1",
        kind="reranker",
        family="bce",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=(
            "zh",
            "en",
            "ja",
            "ko",
        ),
        signature=Signature(
            model_type="xlm-roberta", hidden_size=768, num_hidden_layers=12, vocab_size=250_002
        ),
        truncation="longest_first",
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/maidalun1020/bce-reranker-base_v1",
                "languages": "https://huggingface.co/maidalun1020/bce-reranker-base_v1",
                "max_length_tokens": "https://huggingface.co/maidalun1020/bce-reranker-base_v1/blob/main/config.json",
                "signature": "https://huggingface.co/maidalun1020/bce-reranker-base_v1/blob/main/config.json",
                "truncation": "https://github.com/netease-youdao/BCEmbedding/blob/master/BCEmbedding/models/reranker.py",
            }
        ),
        notes="",
    ),
    ModelSpec(
        id="mini",
        kind="reranker",
        family="mini",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("en",),
        truncation="longest_first",
        package="rerank_plugins_mini",
        notes="Trained by this project; the weights come with the package, so nothing is downloaded.",
    ),
)
