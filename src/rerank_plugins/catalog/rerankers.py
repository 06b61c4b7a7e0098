"""The rerankers that are known by name: facts only, each with the address it was read at."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.layers import LayerRange
from rerank_plugins.catalog.llm import ANSWER_PROMPT, LIGHTWEIGHT_PROMPT
from rerank_plugins.catalog.rerankers_encoders import ENCODER_RERANKERS
from rerank_plugins.catalog.rerankers_prompted import PROMPTED_RERANKERS
from rerank_plugins.catalog.spec import ModelSpec, Signature
from rerank_plugins.catalog.templates import FLAG_EMBEDDING

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
_FLAG_LLM = (
    "https://github.com/FlagOpen/FlagEmbedding/blob/dfdace383d5602240830700b87e19cc91ec5e0a5"
    "/FlagEmbedding/inference/reranker/decoder_only"
)
_LIGHTWEIGHT = "BAAI/bge-reranker-v2.5-gemma2-lightweight"
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
        reference="FlagEmbedding 1.3.5",
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
        reference="FlagEmbedding 1.3.5",
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
        reference="FlagEmbedding 1.3.5",
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
        id="BAAI/bge-reranker-v2-gemma",
        kind="reranker",
        family="bge",
        scorer="decoder",
        default_max_length_tokens=512,
        max_length_tokens=8192,
        license="Apache-2.0",
        languages=("multilingual",),
        revision="1787044f8b6fb740a9de4557c3a12377f84d9e17",
        signature=Signature(
            model_type="gemma",
            hidden_size=2048,
            num_hidden_layers=18,
            vocab_size=256_000,
            max_position_embeddings=8192,
        ),
        truncation="only_second",
        template=FLAG_EMBEDDING,
        prompt=ANSWER_PROMPT,
        half_precision="bfloat16",
        reference="FlagEmbedding 1.3.5",
        sources=MappingProxyType(
            {
                "license": f"{_HUB}/BAAI/bge-reranker-v2-gemma",
                "languages": _FLAG_LIST,
                "default_max_length_tokens": f"{_FLAG_LLM}/base.py",
                "max_length_tokens": f"{_HUB}/BAAI/bge-reranker-v2-gemma/blob/main/config.json",
                "revision": _XINFERENCE,
                "signature": f"{_HUB}/BAAI/bge-reranker-v2-gemma/blob/main/config.json",
                "truncation": f"{_FLAG_LLM}/base.py",
                "score_scale": f"{_FLAG_LLM}/base.py",
                "prompt": f"{_FLAG_LLM}/base.py",
            }
        ),
        notes=(
            "2.5 billion parameters. max_length counts query and document; the prompt comes on top. Its card cuts at "
            "1024, FlagEmbedding at 512 unless told otherwise."
        ),
    ),
    ModelSpec(
        id="BAAI/bge-reranker-v2-minicpm-layerwise",
        kind="reranker",
        family="bge",
        scorer="layerwise",
        default_max_length_tokens=512,
        max_length_tokens=2048,
        license="Apache-2.0",
        languages=("multilingual",),
        revision="47b5332b296c4d8cb6ee2c60502cc62a0d708881",
        signature=Signature(
            model_type="minicpm",
            hidden_size=2304,
            num_hidden_layers=40,
            vocab_size=122_753,
            max_position_embeddings=2048,
        ),
        truncation="only_second",
        template=FLAG_EMBEDDING,
        prompt=ANSWER_PROMPT,
        layers=LayerRange(first=8, last=40),
        half_precision="bfloat16",
        reference="FlagEmbedding 1.3.5",
        sources=MappingProxyType(
            {
                "license": f"{_HUB}/BAAI/bge-reranker-v2-minicpm-layerwise",
                "languages": _FLAG_LIST,
                "default_max_length_tokens": f"{_FLAG_LLM}/layerwise.py",
                "max_length_tokens": f"{_HUB}/BAAI/bge-reranker-v2-minicpm-layerwise/blob/main/config.json",
                "revision": _XINFERENCE,
                "signature": f"{_HUB}/BAAI/bge-reranker-v2-minicpm-layerwise/blob/main/config.json",
                "truncation": f"{_FLAG_LLM}/layerwise.py",
                "score_scale": f"{_FLAG_LLM}/layerwise.py",
                "prompt": f"{_FLAG_LLM}/layerwise.py",
                "layers": f"{_HUB}/BAAI/bge-reranker-v2-minicpm-layerwise/blob/main/config.json",
                "half_precision": f"{_HUB}/BAAI/bge-reranker-v2-minicpm-layerwise/blob/main/config.json",
            }
        ),
        notes=(
            "2.7 billion parameters. Layers 8 to 40 give scores, each on its own scale; 28 is used unless "
            "LayerOptions(cutoff_layers=...) says otherwise. Runs without the checkpoint's own code."
        ),
    ),
    ModelSpec(
        id=_LIGHTWEIGHT,
        kind="reranker",
        family="bge",
        scorer="lightweight",
        default_max_length_tokens=512,
        max_length_tokens=8192,
        license="Gemma",
        languages=("multilingual",),
        revision="bac849b81e49b6eec8d3b532b6b77f1d3522697b",
        signature=Signature(
            model_type="cost_wise_gemma",
            hidden_size=3584,
            num_hidden_layers=42,
            vocab_size=256_000,
            max_position_embeddings=8192,
        ),
        truncation="only_second",
        template=FLAG_EMBEDDING,
        prompt=LIGHTWEIGHT_PROMPT,
        layers=LayerRange(first=8, last=42, compresses=True),
        half_precision="bfloat16",
        reference="FlagEmbedding 1.3.5",
        sources=MappingProxyType(
            {
                "license": f"{_HUB}/{_LIGHTWEIGHT}",
                "languages": f"{_HUB}/{_LIGHTWEIGHT}",
                "default_max_length_tokens": f"{_FLAG_LLM}/lightweight.py",
                "max_length_tokens": f"{_HUB}/{_LIGHTWEIGHT}/blob/main/config.json",
                "revision": f"{_HUB}/{_LIGHTWEIGHT}/tree/bac849b81e49b6eec8d3b532b6b77f1d3522697b",
                "signature": f"{_HUB}/{_LIGHTWEIGHT}/blob/main/config.json",
                "truncation": f"{_FLAG_LLM}/lightweight.py",
                "score_scale": f"{_FLAG_LLM}/lightweight.py",
                "prompt": f"{_FLAG_LLM}/lightweight.py",
                "layers": f"{_HUB}/{_LIGHTWEIGHT}/blob/main/config.json",
            }
        ),
        notes=(
            "9 billion parameters, 39 GB of float32 files. LayerOptions chooses the layer (8 to 42, default 28) and "
            "how document tokens are merged. Its scores are saturated; its authors advise against thresholds. Runs "
            "without the checkpoint's own code."
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
        reference="BCEmbedding 0.1.5",
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
    *PROMPTED_RERANKERS,
    *ENCODER_RERANKERS,
    ModelSpec(
        id="mini",
        kind="reranker",
        family="mini",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("en",),
        truncation="only_second",
        package="rerank_plugins_mini",
        reference="its training code",
        notes="Trained by this project; the weights come with the package, so nothing is downloaded.",
    ),
)
