"""What a reranker was trained to read in front of queries and documents, as its folder says it.

``config_sentence_transformers.json`` holds it, where embedders have their prompts too, under a key of this package's
own. Of a cross-encoder's the query's is also its default prompt, which sentence-transformers 6 puts in front by itself;
that has no such thing for documents, and takes the prompts of a language model for a message of its chat template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rerank_plugins.catalog.fields import SENTENCE_TRANSFORMERS, check_fields
from rerank_plugins.catalog.json_files import read_object
from rerank_plugins.catalog.lora_files import read_lora_files
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.types import SourceOptions

__all__ = ["PAIR_INSTRUCTIONS", "SENTENCE_SETTINGS", "with_adapters_instructions", "with_pair_instructions"]

SENTENCE_SETTINGS = "config_sentence_transformers.json"
PAIR_INSTRUCTIONS = "pair_instructions"
"""The key: ``query`` and ``document`` to the text in front of each."""


def with_pair_instructions(spec: ModelSpec, saved: Mapping[str, Any]) -> ModelSpec:
    """Return a reranker's spec with the texts that it was trained to read in front of queries and documents.

    Args:
        spec: The reranker.
        saved: Its ``config_sentence_transformers.json``. Without the key the spec stays as it is.
    """
    found = saved.get(PAIR_INSTRUCTIONS)
    if found is None:
        return spec
    return replace(spec, query_prefix=found.get("query") or "", document_prefix=found.get("document") or "")


def with_adapters_instructions(spec: ModelSpec, options: SourceOptions) -> ModelSpec:
    """Return a reranker's spec with the texts that its LoRA adapter was trained with, if it says which.

    Raises:
        ModelError: There is no such adapter, or its settings cannot be read.
    """
    if options.peft_path is None:
        return spec
    path: Path = read_lora_files(options.peft_path, local_files_only=options.local_files_only).folder
    saved = read_object(path / SENTENCE_SETTINGS)
    check_fields(saved, SENTENCE_TRANSFORMERS, path=path / SENTENCE_SETTINGS)
    return with_pair_instructions(spec, saved)
