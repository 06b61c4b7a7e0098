"""Encoders for Chinese, and for Chinese with English, of several authors."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.embedders.sources import HUB, MTEB, STELLA_CONFIG, XINFERENCE
from rerank_plugins.catalog.spec import Instruction, ModelSpec, Signature

__all__ = ["CHINESE"]

_MTEB_M3E = (
    "https://github.com/embeddings-benchmark/mteb/blob/89c64a1a3e8c92113d3b61c6b8dc197bac299411"
    "/mteb/models/model_implementations/moka_models.py"
)
_BCE = "https://github.com/netease-youdao/BCEmbedding/blob/342b4a52ca3587407bca392fda6f05065e17118b"
_TAO = "https://github.com/Tseing/chinese-idiom-embedding"

CHINESE: tuple[ModelSpec, ...] = (
    ModelSpec(
        id="maidalun1020/bce-embedding-base_v1",
        kind="embedder",
        family="bce",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("zh", "en"),
        revision="58daaf15c598a325b79d4cd55646814fd691aacd",
        signature=Signature(model_type="xlm-roberta", hidden_size=768, num_hidden_layers=12, vocab_size=250_002),
        pooling="cls",
        dimensions=768,
        reference="BCEmbedding 0.1.5",
        sources=MappingProxyType(
            {
                "license": f"{HUB}/maidalun1020/bce-embedding-base_v1",
                "languages": f"{_BCE}/README.md",
                "max_length_tokens": f"{_BCE}/BCEmbedding/models/embedding.py",
                "revision": f"{HUB}/maidalun1020/bce-embedding-base_v1/tree/58daaf15c598a325b79d4cd55646814fd691aacd",
                "signature": f"{HUB}/maidalun1020/bce-embedding-base_v1/blob/main/config.json",
                "pooling": f"{_BCE}/BCEmbedding/models/embedding.py",
                "dimensions": XINFERENCE,
                "instructions": f"{_BCE}/README.md",
            }
        ),
        notes="main has only pickled weights; pinned to the hub's own conversion of it to safetensors.",
    ),
    ModelSpec(
        id="TownsWu/PEG",
        kind="embedder",
        family="peg",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("zh",),
        revision="df62571acfbfcbec6b65f5964b5e8f9bd8d284ef",
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="cls",
        dimensions=1024,
        reference="sentence-transformers",
        sources=MappingProxyType(
            {
                "license": f"{HUB}/TownsWu/PEG",
                "languages": f"{HUB}/TownsWu/PEG",
                "max_length_tokens": f"{HUB}/TownsWu/PEG/commit/c86aea01f57080a7fdff49100d045521563f80f4",
                "revision": f"{HUB}/TownsWu/PEG/tree/df62571acfbfcbec6b65f5964b5e8f9bd8d284ef",
                "signature": f"{HUB}/TownsWu/PEG/commit/c86aea01f57080a7fdff49100d045521563f80f4",
                "pooling": f"{HUB}/TownsWu/PEG",
                "dimensions": f"{HUB}/TownsWu/PEG/commit/c86aea01f57080a7fdff49100d045521563f80f4",
                "instructions": f"{HUB}/TownsWu/PEG",
            }
        ),
        notes=(
            "Its card uses no instruction, so none is set; it was tuned from BAAI/bge-large-zh, and "
            "evaluations by others put that model's Chinese query instruction in front. main has only "
            "pickled weights; pinned to the hub's own conversion of it to safetensors."
        ),
    ),
    ModelSpec(
        id="thenlper/gte-large-zh",
        kind="embedder",
        family="gte",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh",),
        revision="64c364e579de308104a9b2c170ca009502f4f545",
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="cls",
        dimensions=1024,
        reference="sentence-transformers",
        sources=MappingProxyType(
            {
                "license": f"{MTEB}/gte_models.py",
                "languages": f"{MTEB}/gte_models.py",
                "max_length_tokens": f"{MTEB}/gte_models.py",
                "revision": f"{MTEB}/gte_models.py",
                "signature": f"{MTEB}/gte_models.py",
                "pooling": f"{HUB}/thenlper/gte-large-zh/commit/c614179878be6093d99934b3544d71533b7e2b0f",
                "dimensions": f"{MTEB}/gte_models.py",
                "instructions": f"{MTEB}/gte_models.py",
            }
        ),
    ),
    ModelSpec(
        id="sensenova/piccolo-large-zh",
        kind="embedder",
        family="piccolo",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh",),
        revision="b0fdd58e4ba5d2da8ff2725057a9b8d6dd3bd3b5",
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="mean",
        dimensions=1024,
        instructions=MappingProxyType({"retrieval": Instruction(query="查询: ", document="结果: ")}),
        reference="sentence-transformers",
        sources=MappingProxyType(
            {
                "license": f"{HUB}/sensenova/piccolo-large-zh",
                "languages": f"{HUB}/sensenova/piccolo-large-zh",
                "max_length_tokens": f"{HUB}/sensenova/piccolo-large-zh",
                "revision": f"{HUB}/sensenova/piccolo-large-zh/tree/b0fdd58e4ba5d2da8ff2725057a9b8d6dd3bd3b5",
                "signature": STELLA_CONFIG,
                "pooling": f"{HUB}/sensenova/piccolo-large-zh/tree/b0fdd58e4ba5d2da8ff2725057a9b8d6dd3bd3b5",
                "dimensions": f"{HUB}/sensenova/piccolo-large-zh",
                "instructions": f"{HUB}/sensenova/piccolo-large-zh",
            }
        ),
        notes=(
            "No pooling file: mean is what sentence-transformers does then. main has only pickled "
            "weights; pinned to the hub's own conversion of it to safetensors."
        ),
    ),
    ModelSpec(
        id="infgrad/stella-large-zh-v2",
        kind="embedder",
        family="stella",
        scorer="transformer",
        default_max_length_tokens=1024,
        max_length_tokens=1024,
        license="none stated",
        languages=("zh",),
        revision="8436ce9a11c2b7926746ad2ec0c665ba2fe09e14",
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="mean",
        dimensions=1024,
        reference="sentence-transformers",
        sources=MappingProxyType(
            {
                "license": f"{HUB}/infgrad/stella-large-zh-v2/tree/8436ce9a11c2b7926746ad2ec0c665ba2fe09e14",
                "languages": f"{HUB}/infgrad/stella-large-zh-v2",
                "max_length_tokens": f"{HUB}/infgrad/stella-large-zh-v2",
                "revision": f"{HUB}/infgrad/stella-large-zh-v2/tree/8436ce9a11c2b7926746ad2ec0c665ba2fe09e14",
                "signature": STELLA_CONFIG,
                "pooling": STELLA_CONFIG,
                "dimensions": f"{HUB}/infgrad/stella-large-zh-v2",
                "instructions": f"{HUB}/infgrad/stella-large-zh-v2",
            }
        ),
        notes=(
            "Its card states no licence: ask its author before you use it commercially. main has no "
            "safetensors, only pickled weights: pass revision='refs/pr/1' (the hub's own conversion) or "
            "allow_pickle=True."
        ),
    ),
    ModelSpec(
        id="moka-ai/m3e-large",
        kind="embedder",
        family="m3e",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="non-commercial",
        languages=("zh", "en"),
        revision="12900375086c37ba5d83d1e417b21dc7d1d1f388",
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="mean",
        normalize=False,
        dimensions=1024,
        reference="sentence-transformers",
        sources=MappingProxyType(
            {
                "license": _MTEB_M3E,
                "languages": _MTEB_M3E,
                "max_length_tokens": _MTEB_M3E,
                "revision": _MTEB_M3E,
                "signature": f"{HUB}/moka-ai/m3e-large/tree/12900375086c37ba5d83d1e417b21dc7d1d1f388",
                "pooling": f"{HUB}/moka-ai/m3e-large/tree/12900375086c37ba5d83d1e417b21dc7d1d1f388",
                "normalize": f"{HUB}/moka-ai/m3e-large/tree/12900375086c37ba5d83d1e417b21dc7d1d1f388",
                "dimensions": XINFERENCE,
                "instructions": _MTEB_M3E,
            }
        ),
        notes=(
            "No module files: mean pooling without normalisation is what sentence-transformers does then, "
            "so compare by cosine. Vectors have 1024 numbers, though its card says 768. main has no "
            "safetensors, only pickled weights: pass revision='refs/pr/5' (a conversion) or "
            "allow_pickle=True."
        ),
    ),
    ModelSpec(
        id="amu/tao-8k",
        kind="embedder",
        family="tao",
        scorer="transformer",
        default_max_length_tokens=8192,
        max_length_tokens=8192,
        license="not known",
        languages=("zh",),
        revision="bc783a14a907aa520ebf978787d3d6513803de13",
        pooling="mean",
        dimensions=1024,
        reference="sentence-transformers",
        sources=MappingProxyType(
            {
                "license": f"{HUB}/amu/tao-8k",
                "languages": "https://cloud.baidu.com/doc/WENXINWORKSHOP/s/im3e22c0k",
                "max_length_tokens": "https://cloud.baidu.com/doc/WENXINWORKSHOP/s/im3e22c0k",
                "revision": _TAO,
                "pooling": STELLA_CONFIG,
                "dimensions": _TAO,
                "instructions": f"{HUB}/amu/tao-8k",
            }
        ),
        notes=(
            "Its licence and pooling were not read from its own files: mean is what its parent family "
            "(stella) and sentence-transformers use, and the checkpoint's 1_Pooling wins when it is "
            "there."
        ),
    ),
)
