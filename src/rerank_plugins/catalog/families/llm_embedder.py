"""LLM-Embedder (BAAI): one encoder, six tasks, each with an instruction for both sides."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.sources import CARD, TREE
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.spec import Instruction, ModelSpec

__all__ = ["LLM_EMBEDDER"]

_TASKS = (
    "https://github.com/FlagOpen/FlagEmbedding/blob/e513431f0ab7a3e86d7e397e88318a4f2695b537"
    "/research/llm_embedder/README.md"
)

LLM_EMBEDDER = (
    Family(
        architecture="bert",
        vocabulary=30_522,
        facts=ModelSpec(
            id="BAAI/llm-embedder",
            kind="embedder",
            family="llm-embedder",
            scorer="transformer",
            default_max_length_tokens=512,
            max_length_tokens=512,
            license="MIT",
            languages=("en",),
            pooling="cls",
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
                    "license": CARD,
                    "languages": _TASKS,
                    "max_length_tokens": TREE,
                    "revision": TREE,
                    "signature": TREE,
                    "pooling": _TASKS,
                    "dimensions": TREE,
                    "instructions": _TASKS,
                }
            ),
            notes="Trained with 256 tokens; documents need their instruction too (its authors call it the key).",
        ),
        sizes=(Size(revision="c3e8ac86ff4859012570d6b59341fe67b88e55ad", layers=12, hidden=768),),
    ),
)
