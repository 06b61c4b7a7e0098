"""The embedders that are known by name: facts only, each with the address it was read at.

Parameter counts published by mteb fix the signatures: embedding parameters divided by the hidden size give
the vocabulary, and the active parameters give the layers.
"""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.spec import Instruction, ModelSpec, Signature

__all__ = ["EMBEDDERS"]

_HUB = "https://huggingface.co"
_MTEB = (
    "https://github.com/embeddings-benchmark/mteb/blob/222aae55222a51267d71452f4bb9a954483b5fa8"
    "/mteb/models/model_implementations"
)
_MTEB_M3E = (
    "https://github.com/embeddings-benchmark/mteb/blob/89c64a1a3e8c92113d3b61c6b8dc197bac299411"
    "/mteb/models/model_implementations/moka_models.py"
)
_XINFERENCE = (
    "https://github.com/xorbitsai/inference/blob/03216fff510960ba876216a06038c494c54e637d"
    "/xinference/model/embedding/model_spec.json"
)
_FLAG_POOLING = (
    "https://github.com/FlagOpen/FlagEmbedding/blob/3c2d3215ea5528a7888b2f99849da7bb56d68cea"
    "/FlagEmbedding/inference/embedder/model_mapping.py"
)
_FLAG_TASKS = (
    "https://github.com/FlagOpen/FlagEmbedding/blob/e513431f0ab7a3e86d7e397e88318a4f2695b537"
    "/research/llm_embedder/README.md"
)
_BCE = "https://github.com/netease-youdao/BCEmbedding/blob/342b4a52ca3587407bca392fda6f05065e17118b"
_STELLA_CONFIG = f"{_HUB}/infgrad/stella-large-zh/raw/dc4ac7b8c957e850b38d370513662e463561ee46/config.json"
_TAO = "https://github.com/Tseing/chinese-idiom-embedding"

_BGE_ZH = MappingProxyType({"retrieval": Instruction(query="为这个句子生成表示以用于检索相关文章：")})
_BGE_EN = MappingProxyType(
    {"retrieval": Instruction(query="Represent this sentence for searching relevant passages: ")}
)
_BGE_SOURCES = MappingProxyType(
    {
        "license": f"{_MTEB}/bge_models.py",
        "languages": f"{_MTEB}/bge_models.py",
        "max_length_tokens": f"{_MTEB}/bge_models.py",
        "revision": f"{_MTEB}/bge_models.py",
        "signature": f"{_MTEB}/bge_models.py",
        "pooling": _FLAG_POOLING,
        "dimensions": f"{_MTEB}/bge_models.py",
        "instructions": f"{_MTEB}/bge_models.py",
    }
)

EMBEDDERS: tuple[ModelSpec, ...] = (
    ModelSpec(
        id="BAAI/bge-small-zh-v1.5",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh",),
        revision="7999e1d3359715c523056ef9478215996d62a620",
        signature=Signature(model_type="bert", hidden_size=512, num_hidden_layers=4, vocab_size=21_128),
        pooling="cls",
        dimensions=512,
        instructions=_BGE_ZH,
        sources=_BGE_SOURCES,
    ),
    ModelSpec(
        id="BAAI/bge-base-zh-v1.5",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh",),
        revision="f03589ceff5aac7111bd60cfc7d497ca17ecac65",
        signature=Signature(model_type="bert", hidden_size=768, num_hidden_layers=12, vocab_size=21_128),
        pooling="cls",
        dimensions=768,
        instructions=_BGE_ZH,
        sources=_BGE_SOURCES,
        notes=(
            "main has no safetensors, only pickled weights: pass revision='refs/pr/1' (the hub's own "
            "conversion) or allow_pickle=True."
        ),
    ),
    ModelSpec(
        id="BAAI/bge-large-zh-v1.5",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh",),
        revision="c11661ba3f9407eeb473765838eb4437e0f015c0",
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="cls",
        dimensions=1024,
        instructions=_BGE_ZH,
        sources=MappingProxyType(
            {**_BGE_SOURCES, "revision": f"{_HUB}/BAAI/bge-large-zh-v1.5/tree/c11661ba3f9407eeb473765838eb4437e0f015c0"}
        ),
        notes=(
            "Pinned to the last commit of main that still has model.safetensors; main has since deleted "
            "that file and kept the pickle of the same weights."
        ),
    ),
    ModelSpec(
        id="BAAI/bge-small-en-v1.5",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("en",),
        revision="5c38ec7c405ec4b44b94cc5a9bb96e735b38267a",
        signature=Signature(model_type="bert", hidden_size=384, num_hidden_layers=12, vocab_size=30_522),
        pooling="cls",
        dimensions=384,
        instructions=_BGE_EN,
        sources=MappingProxyType({**_BGE_SOURCES, "dimensions": _XINFERENCE}),
        notes="Vectors have 384 numbers; mteb's table says 512, which its own parameter count rules out.",
    ),
    ModelSpec(
        id="BAAI/bge-base-en-v1.5",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("en",),
        revision="a5beb1e3e68b9ab74eb54cfd186867f64f240e1a",
        signature=Signature(model_type="bert", hidden_size=768, num_hidden_layers=12, vocab_size=30_522),
        pooling="cls",
        dimensions=768,
        instructions=_BGE_EN,
        sources=_BGE_SOURCES,
    ),
    ModelSpec(
        id="BAAI/bge-large-en-v1.5",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("en",),
        revision="d4aa6901d3a41ba39fb536a557fa166f842b0e09",
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=30_522),
        pooling="cls",
        dimensions=1024,
        instructions=_BGE_EN,
        sources=_BGE_SOURCES,
    ),
    ModelSpec(
        id="BAAI/bge-small-zh",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh",),
        revision="1d2363c5de6ce9ba9c890c8e23a4c72dce540ca8",
        signature=Signature(model_type="bert", hidden_size=512, num_hidden_layers=4, vocab_size=21_128),
        pooling="cls",
        dimensions=512,
        instructions=_BGE_ZH,
        sources=_BGE_SOURCES,
        notes=(
            "Superseded by BAAI/bge-small-zh-v1.5. main has no safetensors, only pickled weights: pass "
            "revision='refs/pr/2' (the hub's own conversion) or allow_pickle=True."
        ),
    ),
    ModelSpec(
        id="BAAI/bge-base-zh",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh",),
        revision="0e5f83d4895db7955e4cb9ed37ab73f7ded339b6",
        signature=Signature(model_type="bert", hidden_size=768, num_hidden_layers=12, vocab_size=21_128),
        pooling="cls",
        dimensions=768,
        instructions=_BGE_ZH,
        sources=_BGE_SOURCES,
        notes="Superseded by BAAI/bge-base-zh-v1.5.",
    ),
    ModelSpec(
        id="BAAI/bge-large-zh",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh",),
        revision="b5d9f5c027e87b6f0b6fa4b614f8f9cdc45ce0e8",
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="cls",
        dimensions=1024,
        instructions=_BGE_ZH,
        sources=_BGE_SOURCES,
        notes="Superseded by BAAI/bge-large-zh-v1.5.",
    ),
    ModelSpec(
        id="BAAI/bge-small-en",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("en",),
        revision="4778d71a06863076696b03fd2777eb118712cad8",
        signature=Signature(model_type="bert", hidden_size=384, num_hidden_layers=12, vocab_size=30_522),
        pooling="cls",
        dimensions=384,
        instructions=_BGE_EN,
        sources=MappingProxyType({**_BGE_SOURCES, "dimensions": f"{_HUB}/BAAI/bge-small-en"}),
        notes=(
            "Superseded by BAAI/bge-small-en-v1.5. Vectors have 384 numbers; mteb's table says 512, which "
            "its own parameter count rules out."
        ),
    ),
    ModelSpec(
        id="BAAI/bge-base-en",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("en",),
        revision="b737bf5dcc6ee8bdc530531266b4804a5d77b5d8",
        signature=Signature(model_type="bert", hidden_size=768, num_hidden_layers=12, vocab_size=30_522),
        pooling="cls",
        dimensions=768,
        instructions=_BGE_EN,
        sources=_BGE_SOURCES,
        notes="Superseded by BAAI/bge-base-en-v1.5.",
    ),
    ModelSpec(
        id="BAAI/bge-large-en",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("en",),
        revision="abe7d9d814b775ca171121fb03f394dc42974275",
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=30_522),
        pooling="cls",
        dimensions=1024,
        instructions=_BGE_EN,
        sources=_BGE_SOURCES,
        notes="Superseded by BAAI/bge-large-en-v1.5.",
    ),
    ModelSpec(
        id="BAAI/bge-m3",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=8192,
        max_length_tokens=8192,
        license="MIT",
        languages=("multilingual",),
        revision="9a0624b896d81da7492a910ffa53731274b6cf3d",
        signature=Signature(model_type="xlm-roberta", hidden_size=1024, num_hidden_layers=24, vocab_size=250_002),
        pooling="cls",
        dimensions=1024,
        sources=MappingProxyType(
            {
                "license": f"{_MTEB}/bge_models.py",
                "languages": f"{_MTEB}/bge_models.py",
                "max_length_tokens": f"{_HUB}/BAAI/bge-m3",
                "revision": f"{_HUB}/BAAI/bge-m3/commit/9a0624b896d81da7492a910ffa53731274b6cf3d",
                "signature": f"{_MTEB}/bge_models.py",
                "pooling": _FLAG_POOLING,
                "dimensions": f"{_MTEB}/bge_models.py",
                "instructions": f"{_HUB}/BAAI/bge-m3",
            }
        ),
        notes=(
            "Dense vectors only: the sparse and multi-vector heads are not used. main has only pickled "
            "weights; pinned to the hub's own conversion of it (pull request 130), which adds "
            "model.safetensors and changes nothing else."
        ),
    ),
    ModelSpec(
        id="BAAI/llm-embedder",
        kind="embedder",
        family="llm-embedder",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("en",),
        revision="c3e8ac86ff4859012570d6b59341fe67b88e55ad",
        signature=Signature(model_type="bert", hidden_size=768, num_hidden_layers=12, vocab_size=30_522),
        pooling="cls",
        dimensions=768,
        instructions=MappingProxyType(
            {
                "qa": Instruction(
                    query="Represent this query for retrieving relevant documents: ",
                    document="Represent this document for retrieval: ",
                ),
                "icl": Instruction(
                    query="Convert this example into vector to look for useful examples: ",
                    document="Convert this example into vector for retrieval: ",
                ),
                "chat": Instruction(
                    query="Embed this dialogue to find useful historical dialogues: ",
                    document="Embed this historical dialogue for retrieval: ",
                ),
                "lrlm": Instruction(
                    query="Embed this text chunk for finding useful historical chunks: ",
                    document="Embed this historical text chunk for retrieval: ",
                ),
                "tool": Instruction(
                    query="Transform this user request for fetching helpful tool descriptions: ",
                    document="Transform this tool description for retrieval: ",
                ),
                "convsearch": Instruction(
                    query="Encode this query and context for searching relevant passages: ",
                    document="Encode this passage for retrieval: ",
                ),
            }
        ),
        sources=MappingProxyType(
            {
                "license": f"{_HUB}/BAAI/llm-embedder",
                "languages": _FLAG_TASKS,
                "max_length_tokens": f"{_HUB}/BAAI/llm-embedder/tree/c3e8ac86ff4859012570d6b59341fe67b88e55ad",
                "revision": f"{_HUB}/BAAI/llm-embedder/tree/c3e8ac86ff4859012570d6b59341fe67b88e55ad",
                "signature": f"{_HUB}/BAAI/llm-embedder/tree/c3e8ac86ff4859012570d6b59341fe67b88e55ad",
                "pooling": _FLAG_TASKS,
                "dimensions": f"{_HUB}/BAAI/llm-embedder/tree/c3e8ac86ff4859012570d6b59341fe67b88e55ad",
                "instructions": _FLAG_TASKS,
            }
        ),
        notes="Trained with 256 tokens; documents need their instruction too (its authors call it the key).",
    ),
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
        sources=MappingProxyType(
            {
                "license": f"{_HUB}/maidalun1020/bce-embedding-base_v1",
                "languages": f"{_BCE}/README.md",
                "max_length_tokens": f"{_BCE}/BCEmbedding/models/embedding.py",
                "revision": f"{_HUB}/maidalun1020/bce-embedding-base_v1/tree/58daaf15c598a325b79d4cd55646814fd691aacd",
                "signature": f"{_HUB}/maidalun1020/bce-embedding-base_v1/blob/main/config.json",
                "pooling": f"{_BCE}/BCEmbedding/models/embedding.py",
                "dimensions": _XINFERENCE,
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
        sources=MappingProxyType(
            {
                "license": f"{_HUB}/TownsWu/PEG",
                "languages": f"{_HUB}/TownsWu/PEG",
                "max_length_tokens": f"{_HUB}/TownsWu/PEG/commit/c86aea01f57080a7fdff49100d045521563f80f4",
                "revision": f"{_HUB}/TownsWu/PEG/tree/df62571acfbfcbec6b65f5964b5e8f9bd8d284ef",
                "signature": f"{_HUB}/TownsWu/PEG/commit/c86aea01f57080a7fdff49100d045521563f80f4",
                "pooling": f"{_HUB}/TownsWu/PEG",
                "dimensions": f"{_HUB}/TownsWu/PEG/commit/c86aea01f57080a7fdff49100d045521563f80f4",
                "instructions": f"{_HUB}/TownsWu/PEG",
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
        sources=MappingProxyType(
            {
                "license": f"{_MTEB}/gte_models.py",
                "languages": f"{_MTEB}/gte_models.py",
                "max_length_tokens": f"{_MTEB}/gte_models.py",
                "revision": f"{_MTEB}/gte_models.py",
                "signature": f"{_MTEB}/gte_models.py",
                "pooling": f"{_HUB}/thenlper/gte-large-zh/commit/c614179878be6093d99934b3544d71533b7e2b0f",
                "dimensions": f"{_MTEB}/gte_models.py",
                "instructions": f"{_MTEB}/gte_models.py",
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
        sources=MappingProxyType(
            {
                "license": f"{_HUB}/sensenova/piccolo-large-zh",
                "languages": f"{_HUB}/sensenova/piccolo-large-zh",
                "max_length_tokens": f"{_HUB}/sensenova/piccolo-large-zh",
                "revision": f"{_HUB}/sensenova/piccolo-large-zh/tree/b0fdd58e4ba5d2da8ff2725057a9b8d6dd3bd3b5",
                "signature": _STELLA_CONFIG,
                "pooling": f"{_HUB}/sensenova/piccolo-large-zh/tree/b0fdd58e4ba5d2da8ff2725057a9b8d6dd3bd3b5",
                "dimensions": f"{_HUB}/sensenova/piccolo-large-zh",
                "instructions": f"{_HUB}/sensenova/piccolo-large-zh",
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
        license="none stated on the model card",
        languages=("zh",),
        revision="8436ce9a11c2b7926746ad2ec0c665ba2fe09e14",
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="mean",
        dimensions=1024,
        sources=MappingProxyType(
            {
                "license": f"{_HUB}/infgrad/stella-large-zh-v2/tree/8436ce9a11c2b7926746ad2ec0c665ba2fe09e14",
                "languages": f"{_HUB}/infgrad/stella-large-zh-v2",
                "max_length_tokens": f"{_HUB}/infgrad/stella-large-zh-v2",
                "revision": f"{_HUB}/infgrad/stella-large-zh-v2/tree/8436ce9a11c2b7926746ad2ec0c665ba2fe09e14",
                "signature": _STELLA_CONFIG,
                "pooling": _STELLA_CONFIG,
                "dimensions": f"{_HUB}/infgrad/stella-large-zh-v2",
                "instructions": f"{_HUB}/infgrad/stella-large-zh-v2",
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
        license="non-commercial, see the model card",
        languages=("zh", "en"),
        revision="12900375086c37ba5d83d1e417b21dc7d1d1f388",
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="mean",
        normalize=False,
        dimensions=1024,
        sources=MappingProxyType(
            {
                "license": _MTEB_M3E,
                "languages": _MTEB_M3E,
                "max_length_tokens": _MTEB_M3E,
                "revision": _MTEB_M3E,
                "signature": f"{_HUB}/moka-ai/m3e-large/tree/12900375086c37ba5d83d1e417b21dc7d1d1f388",
                "pooling": f"{_HUB}/moka-ai/m3e-large/tree/12900375086c37ba5d83d1e417b21dc7d1d1f388",
                "normalize": f"{_HUB}/moka-ai/m3e-large/tree/12900375086c37ba5d83d1e417b21dc7d1d1f388",
                "dimensions": _XINFERENCE,
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
        id="intfloat/multilingual-e5-large",
        kind="embedder",
        family="e5",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("multilingual",),
        revision="ab10c1a7f42e74530fe7ae5be82e6d4f11a719eb",
        signature=Signature(model_type="xlm-roberta", hidden_size=1024, num_hidden_layers=24, vocab_size=250_002),
        pooling="mean",
        dimensions=1024,
        instructions=MappingProxyType({"retrieval": Instruction(query="query: ", document="passage: ")}),
        sources=MappingProxyType(
            {
                "license": f"{_MTEB}/e5_models.py",
                "languages": f"{_MTEB}/e5_models.py",
                "max_length_tokens": f"{_HUB}/intfloat/multilingual-e5-large",
                "revision": f"{_MTEB}/e5_models.py",
                "signature": f"{_MTEB}/e5_models.py",
                "pooling": _FLAG_POOLING,
                "dimensions": f"{_MTEB}/e5_models.py",
                "instructions": f"{_MTEB}/e5_models.py",
            }
        ),
        notes="For symmetric tasks put the query instruction in front of both texts.",
    ),
    ModelSpec(
        id="amu/tao-8k",
        kind="embedder",
        family="tao",
        scorer="transformer",
        default_max_length_tokens=8192,
        max_length_tokens=8192,
        license="not known, see the model card",
        languages=("zh",),
        revision="bc783a14a907aa520ebf978787d3d6513803de13",
        pooling="mean",
        dimensions=1024,
        sources=MappingProxyType(
            {
                "license": f"{_HUB}/amu/tao-8k",
                "languages": "https://cloud.baidu.com/doc/WENXINWORKSHOP/s/im3e22c0k",
                "max_length_tokens": "https://cloud.baidu.com/doc/WENXINWORKSHOP/s/im3e22c0k",
                "revision": _TAO,
                "pooling": _STELLA_CONFIG,
                "dimensions": _TAO,
                "instructions": f"{_HUB}/amu/tao-8k",
            }
        ),
        notes=(
            "Its licence and pooling were not read from its own files: mean is what its parent family "
            "(stella) and sentence-transformers use, and the checkpoint's 1_Pooling wins when it is "
            "there."
        ),
    ),
    ModelSpec(
        id="mini",
        kind="embedder",
        family="mini",
        scorer="static",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("en",),
        pooling="mean",
        dimensions=256,
        package="rerank_plugins_mini",
        notes="Trained by this project; the weights come with the package, so nothing is downloaded.",
    ),
)
