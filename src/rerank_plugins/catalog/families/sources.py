"""Public addresses that several families were read from."""

from __future__ import annotations

__all__ = [
    "CARD",
    "COMMIT",
    "CONFIG",
    "FLAG_POOLING",
    "HUB",
    "MTEB",
    "MTEB_LATER",
    "STELLA_CONFIG",
    "TREE",
    "XINFERENCE_EMBEDDERS",
    "XINFERENCE_RERANKERS",
]

HUB = "https://huggingface.co"
CARD = f"{HUB}/{{id}}"
CONFIG = f"{CARD}/blob/main/config.json"
TREE = f"{CARD}/tree/{{revision}}"
COMMIT = f"{CARD}/commit/{{revision}}"
MTEB = (
    "https://github.com/embeddings-benchmark/mteb/blob/222aae55222a51267d71452f4bb9a954483b5fa8"
    "/mteb/models/model_implementations"
)
MTEB_LATER = (
    "https://github.com/embeddings-benchmark/mteb/blob/a905523d0111f999360b312bd4a601a0a97a0e1c"
    "/mteb/models/model_implementations"
)
XINFERENCE_EMBEDDERS = (
    "https://github.com/xorbitsai/inference/blob/03216fff510960ba876216a06038c494c54e637d"
    "/xinference/model/embedding/model_spec.json"
)
XINFERENCE_RERANKERS = (
    "https://github.com/xorbitsai/inference/blob/0a9e45176cfe5202f8760b2bb87a3999063e0923"
    "/xinference/model/rerank/model_spec.json"
)
FLAG_POOLING = (
    "https://github.com/FlagOpen/FlagEmbedding/blob/3c2d3215ea5528a7888b2f99849da7bb56d68cea"
    "/FlagEmbedding/inference/embedder/model_mapping.py"
)
STELLA_CONFIG = f"{HUB}/infgrad/stella-large-zh/raw/dc4ac7b8c957e850b38d370513662e463561ee46/config.json"
