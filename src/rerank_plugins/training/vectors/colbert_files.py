"""A ColBERT's folder in the format of sentence-transformers 6 (``MultiVectorEncoder``): written, and read again.

Reference: sentence-transformers 6.2 ``multi_vector_encoder/model.py``, ``multi_vector_encoder/modules``,
``base/modules/transformer.py`` (``query_expansion``, ``document_length``).
"""

from __future__ import annotations

import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rerank_plugins.catalog.json_files import is_there, read_json, read_object
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.training.vectors.saving import write_json

__all__ = ["TokenFormat", "is_colbert_folder", "read_token_format", "stored_projection", "write_token_format"]

_KINDS = ("Transformer", "Dense", "MultiVectorMask", "Normalize")
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


def is_colbert_folder(folder: Path) -> bool:
    """Return whether a folder is a ColBERT in sentence-transformers' format."""
    return any(one.endswith(".MultiVectorMask") for one in _module_types(folder))


def _module_types(folder: Path) -> list[str]:
    listed = read_json(folder / "modules.json") if is_there(folder / "modules.json") else []
    entries = listed if isinstance(listed, list) else []
    return [str(one.get("type", "")) for one in entries if isinstance(one, dict)]


def read_token_format(folder: Path) -> TokenFormat:
    """Return the format of a ColBERT's folder.

    Raises:
        UnsupportedModelError: It has other modules, or settings that are not known here.
    """
    kinds = tuple(one.rsplit(".", 1)[-1] for one in _module_types(folder))
    transformer, mask = (
        read_object(folder / "sentence_bert_config.json"),
        read_object(folder / _FOLDERS[2] / "config.json"),
    )
    settings = read_object(folder / "config_sentence_transformers.json")
    expansion = transformer.get("query_expansion") or {}
    odd = expansion.get("strategy", "fixed") != "fixed" or mask.get("skiplist_tasks", ["document"]) != ["document"]
    if kinds != _KINDS or odd or mask.get("keep_only_token_ids"):
        msg = (
            f"{str(folder)!r} runs {' -> '.join(kinds)}, or with settings that are not known here; ColBERTs of "
            f"{' -> '.join(_KINDS)} with fixed expansion are trained further. Start from its encoder"
        )
        raise UnsupportedModelError(msg)
    prompts = settings.get("prompts") or {}
    return TokenFormat(
        prefixes=(prompts.get("query") or "", prompts.get("document") or ""),
        query_length=int(expansion.get("length") or transformer.get("query_length") or 32),
        text_length=int(transformer.get("document_length") or 180),
        expansion=expansion.get("token") if expansion else None,
        attends=bool(expansion.get("attend")),
        skipped=tuple(mask.get("skiplist_words") or ()),
        similarity=str(settings.get("similarity_fn_name") or "maxsim"),
    )


def stored_projection(folder: Path) -> nn.Linear:
    """Return the linear layer of a ColBERT's folder.

    Raises:
        UnsupportedModelError: It is missing, or has a bias or an activation.
    """
    path = folder / _FOLDERS[1]
    config = read_object(path / "config.json")
    file = path / "model.safetensors"
    has_more = (
        config.get("bias")
        or config.get("use_residual")
        or not str(config.get("activation_function", "")).endswith(".Identity")
    )
    if has_more or not is_there(file):
        msg = f"{str(path)!r} holds no linear layer without bias and activation in model.safetensors"
        raise UnsupportedModelError(msg)
    weight: Tensor = load_file(file)["linear.weight"].float()
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.load_state_dict({"weight": weight})
    return linear


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
