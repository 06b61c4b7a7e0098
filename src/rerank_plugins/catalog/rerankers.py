"""The rerankers that are known by name: facts only, each with the address it was read at."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.spec import ModelSpec, Signature

__all__ = ["RERANKERS"]

_HUB = "https://huggingface.co"
_FLAG_LIST = (
    "https://github.com/FlagOpen/FlagEmbedding/blob/7f86295b8ce71ef9cb31793ce39bc1bf7ea14a83"
    "/research/llm_reranker/README.md"
)
_FLAG_CODE = (
    "https://github.com/FlagOpen/FlagEmbedding/blob/dfdace383d5602240830700b87e19cc91ec5e0a5"
    "/FlagEmbedding/inference/reranker/encoder_only/base.py"
)
_BCE = "https://github.com/netease-youdao/BCEmbedding/blob/342b4a52ca3587407bca392fda6f05065e17118b"
_XINFERENCE = (
    "https://github.com/xorbitsai/inference/blob/0a9e45176cfe5202f8760b2bb87a3999063e0923"
    "/xinference/model/rerank/model_spec.json"
)

RERANKERS: tuple[ModelSpec, ...] = (
    ModelSpec(
        id="BAAI/bge-reranker-base",
        kind="reranker",
        family="bge",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh", "en"),
        revision="2cfc18c9415c912f9d8155881c133215df768a70",
        signature=Signature(
            model_type="xlm-roberta",
            hidden_size=768,
            num_hidden_layers=12,
            vocab_size=250_002,
            max_position_embeddings=514,
        ),
        truncation="only_second",
        sources=MappingProxyType(
            {
                "license": f"{_HUB}/BAAI/bge-reranker-base",
                "languages": _FLAG_LIST,
                "max_length_tokens": _XINFERENCE,
                "revision": f"{_HUB}/BAAI/bge-reranker-base/tree/2cfc18c9415c912f9d8155881c133215df768a70",
                "signature": _FLAG_LIST,
                "truncation": _FLAG_CODE,
                "score_scale": _FLAG_CODE,
            }
        ),
    ),
    ModelSpec(
        id="BAAI/bge-reranker-large",
        kind="reranker",
        family="bge",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh", "en"),
        revision="55611d7bca2a7133960a6d3b71e083071bbfc312",
        signature=Signature(
            model_type="xlm-roberta",
            hidden_size=1024,
            num_hidden_layers=24,
            vocab_size=250_002,
            max_position_embeddings=514,
        ),
        truncation="only_second",
        sources=MappingProxyType(
            {
                "license": f"{_HUB}/BAAI/bge-reranker-large",
                "languages": _FLAG_LIST,
                "max_length_tokens": _XINFERENCE,
                "revision": f"{_HUB}/BAAI/bge-reranker-large/tree/55611d7bca2a7133960a6d3b71e083071bbfc312",
                "signature": _FLAG_LIST,
                "truncation": _FLAG_CODE,
                "score_scale": _FLAG_CODE,
            }
        ),
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
        revision="953dc6f6f85a1b2dbfca4c34a2796e7dde08d41e",
        signature=Signature(
            model_type="xlm-roberta",
            hidden_size=1024,
            num_hidden_layers=24,
            vocab_size=250_002,
            max_position_embeddings=8194,
        ),
        truncation="only_second",
        sources=MappingProxyType(
            {
                "license": f"{_HUB}/BAAI/bge-reranker-v2-m3",
                "languages": _FLAG_LIST,
                "default_max_length_tokens": f"{_HUB}/BAAI/bge-reranker-v2-m3",
                "max_length_tokens": f"{_HUB}/BAAI/bge-reranker-v2-m3/blob/main/config.json",
                "revision": f"{_HUB}/BAAI/bge-reranker-v2-m3/tree/953dc6f6f85a1b2dbfca4c34a2796e7dde08d41e",
                "signature": f"{_HUB}/BAAI/bge-reranker-v2-m3/blob/main/config.json",
                "truncation": _FLAG_CODE,
                "score_scale": _FLAG_CODE,
            }
        ),
        notes=(
            "The weights allow 8192 tokens; its card advises 1024, FlagEmbedding cuts at 512 unless told otherwise."
        ),
    ),
    ModelSpec(
        id="maidalun1020/bce-reranker-base_v1",
        kind="reranker",
        family="bce",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("zh", "en", "ja", "ko"),
        revision="eaa31a577a0574e87a08959bd229ca14ce1b5496",
        signature=Signature(
            model_type="xlm-roberta",
            hidden_size=768,
            num_hidden_layers=12,
            vocab_size=250_002,
            max_position_embeddings=514,
        ),
        truncation="longest_first",
        sources=MappingProxyType(
            {
                "license": f"{_HUB}/maidalun1020/bce-reranker-base_v1",
                "languages": f"{_BCE}/README.md",
                "max_length_tokens": f"{_BCE}/BCEmbedding/models/reranker.py",
                "revision": _XINFERENCE,
                "signature": f"{_HUB}/maidalun1020/bce-reranker-base_v1/blob/main/config.json",
                "truncation": f"{_BCE}/BCEmbedding/models/reranker.py",
                "score_scale": f"{_BCE}/BCEmbedding/models/reranker.py",
            }
        ),
        notes=(
            "Its authors read the sigmoid of the logit as an absolute score and advise to drop below about 0.35. The "
            "pinned commit has no safetensors, only pickled weights: pass allow_pickle=True, or use the copy "
            "InfiniFlow/bce-reranker-base_v1 at commit f80323a3e3e04b58099484906eb5bfb192315db8 with family='bce'. "
            "The hub may ask you to log in and accept its conditions."
        ),
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
