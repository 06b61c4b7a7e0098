"""Public addresses that more than one entry was read from."""

from __future__ import annotations

__all__ = ["FLAG", "FLAG_POOLING", "FLAG_TASKS", "HUB", "MTEB", "STELLA_CONFIG", "XINFERENCE"]

HUB = "https://huggingface.co"
MTEB = (
    "https://github.com/embeddings-benchmark/mteb/blob/222aae55222a51267d71452f4bb9a954483b5fa8"
    "/mteb/models/model_implementations"
)
XINFERENCE = (
    "https://github.com/xorbitsai/inference/blob/03216fff510960ba876216a06038c494c54e637d"
    "/xinference/model/embedding/model_spec.json"
)
FLAG = "https://github.com/FlagOpen/FlagEmbedding/blob/3c2d3215ea5528a7888b2f99849da7bb56d68cea/FlagEmbedding"
FLAG_POOLING = f"{FLAG}/inference/embedder/model_mapping.py"
FLAG_TASKS = (
    "https://github.com/FlagOpen/FlagEmbedding/blob/e513431f0ab7a3e86d7e397e88318a4f2695b537"
    "/research/llm_embedder/README.md"
)
STELLA_CONFIG = f"{HUB}/infgrad/stella-large-zh/raw/dc4ac7b8c957e850b38d370513662e463561ee46/config.json"
