"""What stands in front of queries and texts, written into a trained reranker's folder as the model's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rerank_plugins.catalog.pair_instructions import PAIR_INSTRUCTIONS, SENTENCE_SETTINGS

__all__ = ["name_default_prompt", "name_instructions"]

_MODULES, _TRANSFORMER, _QUERY = "modules.json", "sentence_bert_config.json", "query"
_MODULE = "sentence_transformers.base.modules.transformer.Transformer"
_CLASSIFIER = {
    "transformer_task": "sequence-classification",
    "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
    "module_output_name": "scores",
}


def name_instructions(folder: Path, prefixes: tuple[str, str]) -> None:
    """Write the texts into a folder, for :func:`~rerank_plugins.catalog.pair_instructions.with_pair_instructions`.

    Args:
        folder: That of the model, or of its adapter.
        prefixes: In front of queries, and of texts.

    Raises:
        OSError: It cannot be written.
    """
    content = {PAIR_INSTRUCTIONS: dict(zip((_QUERY, "document"), prefixes, strict=True))}
    _update(folder / SENTENCE_SETTINGS, content)


def name_default_prompt(folder: Path, query: str, *, max_length_tokens: int) -> None:
    """Write a cross-encoder's text in front of queries as the default prompt of sentence-transformers 6.

    That reads it only of a folder that lists its modules, which are written where they are not there.

    Args:
        folder: The model's.
        query: The text; an empty one is no prompt.
        max_length_tokens: Of a pair; version 6 would take the tokenizer's.

    Raises:
        OSError: It cannot be written.
    """
    path = folder / SENTENCE_SETTINGS
    prompts = _read(path).get("prompts") or {}
    if query:
        _update(path, {"prompts": {**prompts, _QUERY: query}, "default_prompt_name": _QUERY})
    else:
        _update(path, {"default_prompt_name": None})
    if not query or (folder / _MODULES).is_file():
        return
    _update(path, {"model_type": "CrossEncoder"})
    _update(folder / _TRANSFORMER, {**_CLASSIFIER, "max_seq_length": max_length_tokens})
    _write(folder / _MODULES, [{"idx": 0, "name": "0", "path": "", "type": _MODULE}])


def _update(path: Path, changes: dict[str, Any]) -> None:
    _write(path, {**_read(path), **changes})


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
