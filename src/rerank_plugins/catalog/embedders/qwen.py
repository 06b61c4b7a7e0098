"""Qwen3-Embedding.

The parameter counts that mteb publishes fix the vocabularies: what the layers leave over, divided by the width.
"""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.embedders.sources import FLAG_POOLING
from rerank_plugins.catalog.spec import Instruction, ModelSpec, Signature

__all__ = ["QWEN"]

# No space behind "Query:", unlike in e5-mistral's template.
_INSTRUCT = "Instruct: {task}\nQuery:"
_WEB_SEARCH = MappingProxyType(
    {
        "retrieval": Instruction(
            query="Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
        )
    }
)
_README = "https://github.com/QwenLM/Qwen3-Embedding/blob/main/README.md"
_MTEB = (
    "https://github.com/embeddings-benchmark/mteb/blob/036687a1bed8bb4ae2f74990e0f057106841f214"
    "/mteb/models/model_implementations/qwen3_models.py"
)
_SOURCES = MappingProxyType(
    {
        "license": _MTEB,
        "languages": _MTEB,
        "default_max_length_tokens": _README,
        "max_length_tokens": _MTEB,
        "revision": _MTEB,
        "signature": _MTEB,
        "pooling": FLAG_POOLING,
        "dimensions": _MTEB,
        "matryoshka_from": _README,
        "instructions": _README,
        "task_template": FLAG_POOLING,
        "ends_in": "https://github.com/QwenLM/Qwen3-Embedding/issues/122",
    }
)
_NOTES = (
    "Needs transformers 4.51 or later. Its authors advise a task in the user's own words, in English, for best "
    "results: task='Given ..., retrieve ...'. Texts end in <|endoftext|>, the padding token, not in the tokenizer's "
    "eos_token."
)

QWEN: tuple[ModelSpec, ...] = (
    ModelSpec(
        id="Qwen/Qwen3-Embedding-0.6B",
        kind="embedder",
        family="qwen",
        scorer="transformer",
        default_max_length_tokens=8192,
        max_length_tokens=32_768,
        license="Apache-2.0",
        languages=("multilingual",),
        revision="b22da495047858cce924d27d76261e96be6febc0",
        signature=Signature(model_type="qwen3", hidden_size=1024, num_hidden_layers=28, vocab_size=151_669),
        half_precision="bfloat16",
        pooling="last_token",
        dimensions=1024,
        matryoshka_from=32,
        instructions=_WEB_SEARCH,
        task_template=_INSTRUCT,
        ends_in="<|endoftext|>",
        reference="sentence-transformers",
        sources=_SOURCES,
        notes=_NOTES,
    ),
    ModelSpec(
        id="Qwen/Qwen3-Embedding-4B",
        kind="embedder",
        family="qwen",
        scorer="transformer",
        default_max_length_tokens=8192,
        max_length_tokens=32_768,
        license="Apache-2.0",
        languages=("multilingual",),
        revision="636cd9bf47d976946cdbb2b0c3ca0cb2f8eea5ff",
        signature=Signature(model_type="qwen3", hidden_size=2560, num_hidden_layers=36, vocab_size=151_665),
        half_precision="bfloat16",
        pooling="last_token",
        dimensions=2560,
        matryoshka_from=32,
        instructions=_WEB_SEARCH,
        task_template=_INSTRUCT,
        ends_in="<|endoftext|>",
        reference="sentence-transformers",
        sources=_SOURCES,
        notes=_NOTES,
    ),
    ModelSpec(
        id="Qwen/Qwen3-Embedding-8B",
        kind="embedder",
        family="qwen",
        scorer="transformer",
        default_max_length_tokens=8192,
        max_length_tokens=32_768,
        license="Apache-2.0",
        languages=("multilingual",),
        revision="4e423935c619ae4df87b646a3ce949610c66241c",
        signature=Signature(model_type="qwen3", hidden_size=4096, num_hidden_layers=36, vocab_size=151_665),
        half_precision="bfloat16",
        pooling="last_token",
        dimensions=4096,
        matryoshka_from=32,
        instructions=_WEB_SEARCH,
        task_template=_INSTRUCT,
        ends_in="<|endoftext|>",
        reference="sentence-transformers",
        sources=_SOURCES,
        notes=_NOTES,
    ),
)
