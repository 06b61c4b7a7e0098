"""The flat spellings of the facades' options, and the option object that each is a part of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rerank_plugins.checks.moved import Moved, field_of
from rerank_plugins.embedding.cache import QueryVectorCache
from rerank_plugins.inputs import check_long_documents
from rerank_plugins.types import EngineOptions, InstructionOptions, LongDocuments, SourceOptions, VectorOptions

__all__ = ["EMBEDDER_OPTIONS", "RERANKER_OPTIONS"]


def _renamed(option: str, spelling: str) -> Moved:
    return Moved(option, spelling, lambda current, value: current if value is None else value)


def _as_cache(current: Any, value: Any) -> Any:
    return current if value is None else QueryVectorCache(value)


_FILES = ("revision", "family", "local_files_only", "allow_pickle", "trust_remote_code")
_COMMON = {name: field_of("source", SourceOptions, name) for name in _FILES} | {
    "torch_compile": field_of("engine", EngineOptions, "torch_compile")
}

RERANKER_OPTIONS: Mapping[str, Moved] = MappingProxyType(
    {
        **_COMMON,
        "peft_path": field_of("source", SourceOptions, "peft_path"),
        "query_max_length": field_of("long_documents", LongDocuments, "query_max_length", whole=check_long_documents),
        "truncation": field_of("long_documents", LongDocuments, "truncation", whole=check_long_documents),
        "score_cache": _renamed("cache", "cache=ScoreCache(...)"),
    }
)
"""Those of a reranker, by the names that they have alone."""

EMBEDDER_OPTIONS: Mapping[str, Moved] = MappingProxyType(
    {
        **_COMMON,
        "task": field_of("instruction", InstructionOptions, "task"),
        "query_instruction": field_of("instruction", InstructionOptions, "query"),
        "document_instruction": field_of("instruction", InstructionOptions, "document"),
        "examples": field_of("instruction", InstructionOptions, "examples"),
        "dimensions": field_of("vectors", VectorOptions, "dimensions"),
        "normalize": field_of("vectors", VectorOptions, "normalize"),
        "query_cache_entries": Moved("cache", "cache=QueryVectorCache(...)", _as_cache),
    }
)
"""Those of an embedder."""
