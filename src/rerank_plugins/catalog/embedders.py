"""The embedders that are known by name: facts only, each with the place it was read at."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.spec import Instruction, ModelSpec, Signature

__all__ = ["EMBEDDERS"]

EMBEDDERS: tuple[ModelSpec, ...] = (
    ModelSpec(
        id="BAAI/bge-small-zh",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh",),
        signature=Signature(model_type="bert", hidden_size=512, num_hidden_layers=4, vocab_size=21_128),
        pooling="cls",
        dimensions=512,
        instructions=MappingProxyType(
            {
                "retrieval": Instruction(
                    query="为这个句子生成表示以用于检索相关文章：",
                ),
            }
        ),
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-small-zh",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-small-zh",
                "pooling": "https://github.com/FlagOpen/FlagEmbedding/blob/master/FlagEmbedding/inference/embedder/model_mapping.py",
                "dimensions": "https://huggingface.co/BAAI/bge-small-zh",
                "signature": "https://huggingface.co/BAAI/bge-small-zh/blob/main/config.json",
                "instructions": "https://huggingface.co/BAAI/bge-small-zh",
            }
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
        signature=Signature(model_type="bert", hidden_size=768, num_hidden_layers=12, vocab_size=21_128),
        pooling="cls",
        dimensions=768,
        instructions=MappingProxyType(
            {
                "retrieval": Instruction(
                    query="为这个句子生成表示以用于检索相关文章：",
                ),
            }
        ),
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-base-zh",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-base-zh",
                "pooling": "https://github.com/FlagOpen/FlagEmbedding/blob/master/FlagEmbedding/inference/embedder/model_mapping.py",
                "dimensions": "https://huggingface.co/BAAI/bge-base-zh",
                "signature": "https://huggingface.co/BAAI/bge-base-zh/blob/main/config.json",
                "instructions": "https://huggingface.co/BAAI/bge-base-zh",
            }
        ),
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
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="cls",
        dimensions=1024,
        instructions=MappingProxyType(
            {
                "retrieval": Instruction(
                    query="为这个句子生成表示以用于检索相关文章：",
                ),
            }
        ),
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-large-zh",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-large-zh",
                "pooling": "https://github.com/FlagOpen/FlagEmbedding/blob/master/FlagEmbedding/inference/embedder/model_mapping.py",
                "dimensions": "https://huggingface.co/BAAI/bge-large-zh",
                "signature": "https://huggingface.co/BAAI/bge-large-zh/blob/main/config.json",
                "instructions": "https://huggingface.co/BAAI/bge-large-zh",
            }
        ),
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
        signature=Signature(model_type="bert", hidden_size=384, num_hidden_layers=12, vocab_size=30_522),
        pooling="cls",
        dimensions=384,
        instructions=MappingProxyType(
            {
                "retrieval": Instruction(
                    query="Represent this sentence for searching relevant passages: ",
                ),
            }
        ),
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-small-en",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-small-en",
                "pooling": "https://github.com/FlagOpen/FlagEmbedding/blob/master/FlagEmbedding/inference/embedder/model_mapping.py",
                "dimensions": "https://huggingface.co/BAAI/bge-small-en",
                "signature": "https://huggingface.co/BAAI/bge-small-en/blob/main/config.json",
                "instructions": "https://huggingface.co/BAAI/bge-small-en",
            }
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
        signature=Signature(model_type="bert", hidden_size=768, num_hidden_layers=12, vocab_size=30_522),
        pooling="cls",
        dimensions=768,
        instructions=MappingProxyType(
            {
                "retrieval": Instruction(
                    query="Represent this sentence for searching relevant passages: ",
                ),
            }
        ),
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-base-en",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-base-en",
                "pooling": "https://github.com/FlagOpen/FlagEmbedding/blob/master/FlagEmbedding/inference/embedder/model_mapping.py",
                "dimensions": "https://huggingface.co/BAAI/bge-base-en",
                "signature": "https://huggingface.co/BAAI/bge-base-en/blob/main/config.json",
                "instructions": "https://huggingface.co/BAAI/bge-base-en",
            }
        ),
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
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=30_522),
        pooling="cls",
        dimensions=1024,
        instructions=MappingProxyType(
            {
                "retrieval": Instruction(
                    query="Represent this sentence for searching relevant passages: ",
                ),
            }
        ),
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-large-en",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-large-en",
                "pooling": "https://github.com/FlagOpen/FlagEmbedding/blob/master/FlagEmbedding/inference/embedder/model_mapping.py",
                "dimensions": "https://huggingface.co/BAAI/bge-large-en",
                "signature": "https://huggingface.co/BAAI/bge-large-en/blob/main/config.json",
                "instructions": "https://huggingface.co/BAAI/bge-large-en",
            }
        ),
    ),
    ModelSpec(
        id="BAAI/bge-small-zh-v1.5",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("zh",),
        signature=Signature(model_type="bert", hidden_size=512, num_hidden_layers=4, vocab_size=21_128),
        pooling="cls",
        dimensions=512,
        instructions=MappingProxyType(
            {
                "retrieval": Instruction(
                    query="为这个句子生成表示以用于检索相关文章：",
                ),
            }
        ),
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-small-zh-v1.5",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-small-zh-v1.5",
                "pooling": "https://github.com/FlagOpen/FlagEmbedding/blob/master/FlagEmbedding/inference/embedder/model_mapping.py",
                "dimensions": "https://huggingface.co/BAAI/bge-small-zh-v1.5",
                "signature": "https://huggingface.co/BAAI/bge-small-zh-v1.5/blob/main/config.json",
                "instructions": "https://huggingface.co/BAAI/bge-small-zh-v1.5",
            }
        ),
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
        signature=Signature(model_type="bert", hidden_size=768, num_hidden_layers=12, vocab_size=21_128),
        pooling="cls",
        dimensions=768,
        instructions=MappingProxyType(
            {
                "retrieval": Instruction(
                    query="为这个句子生成表示以用于检索相关文章：",
                ),
            }
        ),
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-base-zh-v1.5",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-base-zh-v1.5",
                "pooling": "https://github.com/FlagOpen/FlagEmbedding/blob/master/FlagEmbedding/inference/embedder/model_mapping.py",
                "dimensions": "https://huggingface.co/BAAI/bge-base-zh-v1.5",
                "signature": "https://huggingface.co/BAAI/bge-base-zh-v1.5/blob/main/config.json",
                "instructions": "https://huggingface.co/BAAI/bge-base-zh-v1.5",
            }
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
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="cls",
        dimensions=1024,
        instructions=MappingProxyType(
            {
                "retrieval": Instruction(
                    query="为这个句子生成表示以用于检索相关文章：",
                ),
            }
        ),
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-large-zh-v1.5",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-large-zh-v1.5",
                "pooling": "https://github.com/FlagOpen/FlagEmbedding/blob/master/FlagEmbedding/inference/embedder/model_mapping.py",
                "dimensions": "https://huggingface.co/BAAI/bge-large-zh-v1.5",
                "signature": "https://huggingface.co/BAAI/bge-large-zh-v1.5/blob/main/config.json",
                "instructions": "https://huggingface.co/BAAI/bge-large-zh-v1.5",
            }
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
        signature=Signature(model_type="bert", hidden_size=384, num_hidden_layers=12, vocab_size=30_522),
        pooling="cls",
        dimensions=384,
        instructions=MappingProxyType(
            {
                "retrieval": Instruction(
                    query="Represent this sentence for searching relevant passages: ",
                ),
            }
        ),
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-small-en-v1.5",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-small-en-v1.5",
                "pooling": "https://github.com/FlagOpen/FlagEmbedding/blob/master/FlagEmbedding/inference/embedder/model_mapping.py",
                "dimensions": "https://huggingface.co/BAAI/bge-small-en-v1.5",
                "signature": "https://huggingface.co/BAAI/bge-small-en-v1.5/blob/main/config.json",
                "instructions": "https://huggingface.co/BAAI/bge-small-en-v1.5",
            }
        ),
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
        signature=Signature(model_type="bert", hidden_size=768, num_hidden_layers=12, vocab_size=30_522),
        pooling="cls",
        dimensions=768,
        instructions=MappingProxyType(
            {
                "retrieval": Instruction(
                    query="Represent this sentence for searching relevant passages: ",
                ),
            }
        ),
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-base-en-v1.5",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-base-en-v1.5",
                "pooling": "https://github.com/FlagOpen/FlagEmbedding/blob/master/FlagEmbedding/inference/embedder/model_mapping.py",
                "dimensions": "https://huggingface.co/BAAI/bge-base-en-v1.5",
                "signature": "https://huggingface.co/BAAI/bge-base-en-v1.5/blob/main/config.json",
                "instructions": "https://huggingface.co/BAAI/bge-base-en-v1.5",
            }
        ),
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
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=30_522),
        pooling="cls",
        dimensions=1024,
        instructions=MappingProxyType(
            {
                "retrieval": Instruction(
                    query="Represent this sentence for searching relevant passages: ",
                ),
            }
        ),
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-large-en-v1.5",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-large-en-v1.5",
                "pooling": "https://github.com/FlagOpen/FlagEmbedding/blob/master/FlagEmbedding/inference/embedder/model_mapping.py",
                "dimensions": "https://huggingface.co/BAAI/bge-large-en-v1.5",
                "signature": "https://huggingface.co/BAAI/bge-large-en-v1.5/blob/main/config.json",
                "instructions": "https://huggingface.co/BAAI/bge-large-en-v1.5",
            }
        ),
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
        signature=Signature(
            model_type="xlm-roberta", hidden_size=1024, num_hidden_layers=24, vocab_size=250_002
        ),
        pooling="cls",
        dimensions=1024,
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/BAAI/bge-m3",
                "max_length_tokens": "https://huggingface.co/BAAI/bge-m3",
                "pooling": "https://github.com/FlagOpen/FlagEmbedding/blob/master/FlagEmbedding/inference/embedder/model_mapping.py",
                "dimensions": "https://huggingface.co/BAAI/bge-m3",
                "signature": "https://huggingface.co/BAAI/bge-m3/blob/main/config.json",
                "instructions": "https://huggingface.co/BAAI/bge-m3",
            }
        ),
        notes="Dense vectors only: the sparse and multi-vector heads of the checkpoint are not used.",
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
                "license": "https://huggingface.co/BAAI/llm-embedder",
                "max_length_tokens": "https://huggingface.co/BAAI/llm-embedder",
                "pooling": "https://github.com/FlagOpen/FlagEmbedding/blob/master/FlagEmbedding/inference/embedder/model_mapping.py",
                "dimensions": "https://huggingface.co/BAAI/llm-embedder",
                "signature": "https://huggingface.co/BAAI/llm-embedder/blob/main/config.json",
                "instructions": "https://github.com/FlagOpen/FlagEmbedding/blob/master/research/llm_embedder/README.md",
            }
        ),
    ),
    ModelSpec(
        id="maidalun1020/bce-embedding-base_v1",
        kind="embedder",
        family="bce",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=(
            "zh",
            "en",
        ),
        signature=Signature(
            model_type="xlm-roberta", hidden_size=768, num_hidden_layers=12, vocab_size=250_002
        ),
        pooling="cls",
        dimensions=768,
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/maidalun1020/bce-embedding-base_v1",
                "max_length_tokens": "https://huggingface.co/maidalun1020/bce-embedding-base_v1",
                "pooling": "https://huggingface.co/maidalun1020/bce-embedding-base_v1",
                "dimensions": "https://huggingface.co/maidalun1020/bce-embedding-base_v1",
                "signature": "https://huggingface.co/maidalun1020/bce-embedding-base_v1/blob/main/config.json",
                "instructions": "https://huggingface.co/maidalun1020/bce-embedding-base_v1",
            }
        ),
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
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="cls",
        dimensions=1024,
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/TownsWu/PEG",
                "max_length_tokens": "https://huggingface.co/TownsWu/PEG",
                "pooling": "https://huggingface.co/TownsWu/PEG",
                "dimensions": "https://huggingface.co/TownsWu/PEG",
                "signature": "https://huggingface.co/TownsWu/PEG/blob/main/config.json",
                "instructions": "https://huggingface.co/TownsWu/PEG",
            }
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
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="cls",
        dimensions=1024,
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/thenlper/gte-large-zh",
                "max_length_tokens": "https://huggingface.co/thenlper/gte-large-zh",
                "pooling": "https://huggingface.co/thenlper/gte-large-zh",
                "dimensions": "https://huggingface.co/thenlper/gte-large-zh",
                "signature": "https://huggingface.co/thenlper/gte-large-zh/blob/main/config.json",
                "instructions": "https://huggingface.co/thenlper/gte-large-zh",
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
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="mean",
        dimensions=1024,
        instructions=MappingProxyType(
            {
                "retrieval": Instruction(
                    query="查询: ",
                    document="结果: ",
                ),
            }
        ),
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/sensenova/piccolo-large-zh",
                "max_length_tokens": "https://huggingface.co/sensenova/piccolo-large-zh",
                "pooling": "https://huggingface.co/sensenova/piccolo-large-zh",
                "dimensions": "https://huggingface.co/sensenova/piccolo-large-zh",
                "signature": "https://huggingface.co/sensenova/piccolo-large-zh/blob/main/config.json",
                "instructions": "https://huggingface.co/sensenova/piccolo-large-zh",
            }
        ),
    ),
    ModelSpec(
        id="infgrad/stella-large-zh-v2",
        kind="embedder",
        family="stella",
        scorer="transformer",
        default_max_length_tokens=1024,
        max_length_tokens=1024,
        license="Apache-2.0",
        languages=("zh",),
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="mean",
        dimensions=1024,
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/infgrad/stella-large-zh-v2",
                "max_length_tokens": "https://huggingface.co/infgrad/stella-large-zh-v2",
                "pooling": "https://huggingface.co/infgrad/stella-large-zh-v2",
                "dimensions": "https://huggingface.co/infgrad/stella-large-zh-v2",
                "signature": "https://huggingface.co/infgrad/stella-large-zh-v2/blob/main/config.json",
                "instructions": "https://huggingface.co/infgrad/stella-large-zh-v2",
            }
        ),
    ),
    ModelSpec(
        id="moka-ai/m3e-large",
        kind="embedder",
        family="m3e",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=(
            "zh",
            "en",
        ),
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="mean",
        dimensions=1024,
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/moka-ai/m3e-large",
                "max_length_tokens": "https://huggingface.co/moka-ai/m3e-large",
                "pooling": "https://huggingface.co/moka-ai/m3e-large",
                "dimensions": "https://huggingface.co/moka-ai/m3e-large",
                "signature": "https://huggingface.co/moka-ai/m3e-large/blob/main/config.json",
                "instructions": "https://huggingface.co/moka-ai/m3e-large",
            }
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
        signature=Signature(
            model_type="xlm-roberta", hidden_size=1024, num_hidden_layers=24, vocab_size=250_002
        ),
        pooling="mean",
        dimensions=1024,
        instructions=MappingProxyType(
            {
                "retrieval": Instruction(
                    query="query: ",
                    document="passage: ",
                ),
            }
        ),
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/intfloat/multilingual-e5-large",
                "max_length_tokens": "https://huggingface.co/intfloat/multilingual-e5-large",
                "pooling": "https://huggingface.co/intfloat/multilingual-e5-large",
                "dimensions": "https://huggingface.co/intfloat/multilingual-e5-large",
                "signature": "https://huggingface.co/intfloat/multilingual-e5-large/blob/main/config.json",
                "instructions": "https://huggingface.co/intfloat/multilingual-e5-large",
            }
        ),
    ),
    ModelSpec(
        id="amu/tao-8k",
        kind="embedder",
        family="tao",
        scorer="transformer",
        default_max_length_tokens=8192,
        max_length_tokens=8192,
        license="Apache-2.0",
        languages=("zh",),
        signature=Signature(model_type="bert", hidden_size=1024, num_hidden_layers=24, vocab_size=21_128),
        pooling="cls",
        dimensions=1024,
        sources=MappingProxyType(
            {
                "license": "https://huggingface.co/amu/tao-8k",
                "max_length_tokens": "https://huggingface.co/amu/tao-8k",
                "pooling": "https://huggingface.co/amu/tao-8k",
                "dimensions": "https://huggingface.co/amu/tao-8k",
                "signature": "https://huggingface.co/amu/tao-8k/blob/main/config.json",
                "instructions": "https://huggingface.co/amu/tao-8k",
            }
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
        package="rerank_plugins_mini",
        notes="Trained by this project; the weights come with the package, so nothing is downloaded.",
    ),
)
