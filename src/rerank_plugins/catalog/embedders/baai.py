"""BAAI's other embedders: three kinds of vectors, six tasks, and two on language models."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.embedders.sources import FLAG, FLAG_POOLING, FLAG_TASKS, HUB, MTEB
from rerank_plugins.catalog.spec import Instruction, ModelSpec, Signature

__all__ = ["BAAI"]

_INSTRUCT = "<instruct>{task}\n<query>"
_WEB_SEARCH = MappingProxyType(
    {
        "retrieval": Instruction(
            query="<instruct>Given a web search query, retrieve relevant passages that answer the query.\n<query>"
        )
    }
)

BAAI: tuple[ModelSpec, ...] = (
    ModelSpec(
        id="BAAI/bge-m3",
        kind="embedder",
        family="bge",
        scorer="multi-vector",
        default_max_length_tokens=8192,
        max_length_tokens=8192,
        license="MIT",
        languages=("multilingual",),
        revision="9a0624b896d81da7492a910ffa53731274b6cf3d",
        signature=Signature(model_type="xlm-roberta", hidden_size=1024, num_hidden_layers=24, vocab_size=250_002),
        pooling="cls",
        dimensions=1024,
        reference="FlagEmbedding 1.4.2",
        sources=MappingProxyType(
            {
                "license": f"{MTEB}/bge_models.py",
                "languages": f"{MTEB}/bge_models.py",
                "max_length_tokens": f"{HUB}/BAAI/bge-m3",
                "revision": f"{HUB}/BAAI/bge-m3/commit/9a0624b896d81da7492a910ffa53731274b6cf3d",
                "signature": f"{MTEB}/bge_models.py",
                "pooling": FLAG_POOLING,
                "dimensions": f"{MTEB}/bge_models.py",
                "instructions": f"{HUB}/BAAI/bge-m3",
            }
        ),
        notes=(
            "Also gives lexical weights and one vector per token (Embedder.encode_documents); the two heads for "
            "those are published as pickles and read only when pickles are allowed, or once converted to safetensors. "
            "main has only pickled weights; pinned to the hub's own conversion of it (pull request 130), which adds "
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
        reference="FlagEmbedding 1.3.5",
        sources=MappingProxyType(
            {
                "license": f"{HUB}/BAAI/llm-embedder",
                "languages": FLAG_TASKS,
                "max_length_tokens": f"{HUB}/BAAI/llm-embedder/tree/c3e8ac86ff4859012570d6b59341fe67b88e55ad",
                "revision": f"{HUB}/BAAI/llm-embedder/tree/c3e8ac86ff4859012570d6b59341fe67b88e55ad",
                "signature": f"{HUB}/BAAI/llm-embedder/tree/c3e8ac86ff4859012570d6b59341fe67b88e55ad",
                "pooling": FLAG_TASKS,
                "dimensions": f"{HUB}/BAAI/llm-embedder/tree/c3e8ac86ff4859012570d6b59341fe67b88e55ad",
                "instructions": FLAG_TASKS,
            }
        ),
        notes="Trained with 256 tokens; documents need their instruction too (its authors call it the key).",
    ),
    ModelSpec(
        id="BAAI/bge-en-icl",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=4096,
        max_length_tokens=32_768,
        license="Apache-2.0",
        languages=("en",),
        revision="971c7e1445cc86656ca0bd85ed770b8675a40bb5",
        signature=Signature(model_type="mistral", hidden_size=4096, num_hidden_layers=32, vocab_size=None),
        pooling="last_token",
        dimensions=4096,
        instructions=_WEB_SEARCH,
        task_template=_INSTRUCT,
        query_suffix="\n<response>",
        example_template="<instruct>{task}\n<query>{query}\n<response>{response}",
        ends_in="</s>",
        reference="FlagEmbedding 1.4.2",
        sources=MappingProxyType(
            {
                "license": f"{MTEB}/bge_models.py",
                "languages": f"{MTEB}/bge_models.py",
                "default_max_length_tokens": f"{HUB}/BAAI/bge-en-icl",
                "max_length_tokens": f"{MTEB}/bge_models.py",
                "revision": f"{MTEB}/bge_models.py",
                "signature": f"{MTEB}/bge_models.py",
                "pooling": FLAG_POOLING,
                "dimensions": f"{MTEB}/bge_models.py",
                "instructions": f"{HUB}/BAAI/bge-en-icl",
                "task_template": FLAG_POOLING,
                "query_suffix": f"{FLAG}/inference/embedder/decoder_only/icl.py",
                "example_template": f"{FLAG}/inference/embedder/decoder_only/icl.py",
                "ends_in": f"{FLAG}/finetune/embedder/decoder_only/icl/runner.py",
            }
        ),
        notes=(
            "Learns from examples of the task: pass examples=[QueryExample(...)]; they go in front of every query and "
            "are not counted in max_length. Documents take neither instruction nor examples."
        ),
    ),
    ModelSpec(
        id="BAAI/bge-multilingual-gemma2",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=4096,
        max_length_tokens=8192,
        license="Gemma",
        languages=("multilingual",),
        revision="992e13d8984fde2c31ef8a3cb2c038aeec513b8a",
        signature=Signature(model_type="gemma2", hidden_size=3584, num_hidden_layers=42, vocab_size=None),
        half_precision="bfloat16",
        pooling="last_token",
        dimensions=3584,
        instructions=_WEB_SEARCH,
        task_template=_INSTRUCT,
        ends_in="<eos>",
        reference="FlagEmbedding 1.4.2",
        sources=MappingProxyType(
            {
                "license": f"{MTEB}/bge_models.py",
                "languages": f"{MTEB}/bge_models.py",
                "default_max_length_tokens": f"{HUB}/BAAI/bge-multilingual-gemma2",
                "max_length_tokens": f"{MTEB}/bge_models.py",
                "revision": f"{MTEB}/bge_models.py",
                "signature": f"{MTEB}/bge_models.py",
                "pooling": FLAG_POOLING,
                "dimensions": f"{MTEB}/bge_models.py",
                "instructions": f"{HUB}/BAAI/bge-multilingual-gemma2",
                "task_template": FLAG_POOLING,
                "ends_in": f"{FLAG}/finetune/embedder/decoder_only/base/runner.py",
            }
        ),
        notes="Needs transformers 4.42 or later. Attention is soft-capped, so it runs without fused attention.",
    ),
)
