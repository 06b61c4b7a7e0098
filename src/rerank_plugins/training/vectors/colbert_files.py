"""A ColBERT's folder in the format of sentence-transformers 6 (``MultiVectorEncoder``), as it is written.

Reference: sentence-transformers 6.2 ``multi_vector_encoder/model.py``, ``multi_vector_encoder/modules``,
``base/modules/transformer.py`` (``query_expansion``, ``document_length``).
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from rerank_plugins.training.vectors.saving import write_json

__all__ = ["TokenFormat", "punctuation", "write_token_format"]

_BASE = "sentence_transformers.base.modules"
_PATHS = (
    f"{_BASE}.transformer.Transformer",
    f"{_BASE}.dense.Dense",
    "sentence_transformers.multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask",
    f"{_BASE}.normalize.Normalize",
)
_FOLDERS = ("", "1_Dense", "2_MultiVectorMask", "3_Normalize")
_TOKENS = "token_embeddings"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFormat:
    """How texts become token vectors, and how these are compared.

    Attributes:
        prefixes: What stands in front of queries, and of texts: the marker, then the instruction.
        query_length: Tokens of a query; with an expansion of every query.
        text_length: Tokens of a text at most.
        expansion: Token that fills queries up; None fills none up.
        attends: Whether the other tokens see it.
        skipped: Tokens of texts that are not compared.
        similarity: ``maxsim`` or ``meanmaxsim``.
    """

    prefixes: tuple[str, str]
    query_length: int
    text_length: int
    expansion: str | None
    attends: bool
    skipped: tuple[str, ...]
    similarity: str


def punctuation() -> tuple[str, ...]:
    """Return the tokens that ColBERT leaves out of texts: ASCII punctuation."""
    return tuple(string.punctuation)


def write_token_format(folder: Path, one: TokenFormat, linear: nn.Linear) -> None:
    """Write everything beside transformer and tokenizer.

    Raises:
        OSError: It cannot be written.
    """
    entries = zip(_FOLDERS, _PATHS, strict=True)
    write_json(
        folder / "modules.json",
        [{"idx": idx, "name": str(idx), "path": path, "type": kind} for idx, (path, kind) in enumerate(entries)],
    )
    transformer: dict[str, Any] = {
        "transformer_task": "feature-extraction",
        "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        "module_output_name": _TOKENS,
        "document_length": one.text_length,
    }
    if one.expansion is None:
        transformer["query_length"] = one.query_length
    else:
        transformer["query_expansion"] = {
            "strategy": "fixed",
            "attend": one.attends,
            "token": one.expansion,
            "length": one.query_length,
        }
    write_json(folder / "sentence_bert_config.json", transformer)
    names = {"module_input_name": _TOKENS, "module_output_name": _TOKENS}
    shape = {"in_features": linear.in_features, "out_features": linear.out_features, "bias": False}
    dense = {**shape, "activation_function": "torch.nn.modules.linear.Identity", **names}
    write_json(folder / _FOLDERS[1] / "config.json", dense)
    save_file({"linear.weight": linear.weight.detach().contiguous()}, folder / _FOLDERS[1] / "model.safetensors")
    mask = {"skiplist_words": list(one.skipped), "skiplist_tasks": ["document"], "keep_only_token_ids": None}
    write_json(folder / _FOLDERS[2] / "config.json", mask)
    write_json(folder / _FOLDERS[3] / "config.json", names)
    prompts = {"query": one.prefixes[0], "document": one.prefixes[1]}
    settings = {"model_type": "MultiVectorEncoder", "prompts": prompts, "default_prompt_name": None}
    write_json(folder / "config_sentence_transformers.json", {**settings, "similarity_fn_name": one.similarity})
