"""A trained embedder as a folder that transformers, sentence-transformers, FlagEmbedding and this package open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from rerank_plugins.text.pairs import TextLayout
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.training.trainable.base import copy_tokenizer, name_origin
from rerank_plugins.training.vectors.landmark_files import add_token, name_landmark
from rerank_plugins.training.vectors.module import M3Module

if TYPE_CHECKING:
    from rerank_plugins.training.vectors.embedder import TrainableEmbedder

__all__ = ["ADAPTER", "save_embedder", "write_json"]

ADAPTER = "adapter"
"""Folder of an adapter, in that of the whole model."""

_MODULES = "sentence_transformers.models"
_POOLINGS = {"cls": "cls_token", "mean": "mean_tokens", "last_token": "lasttoken"}


def save_embedder(trainable: TrainableEmbedder, folder: Path) -> None:
    """Write a model: float32 weights, tokenizer, sentence-transformers' modules and prompts, and bge-m3's heads.

    An adapter is merged, so that the folder is the whole model; it stands in ``adapter`` too. bge-m3's heads are
    written twice: as safetensors, which this package reads without being allowed pickles, and as the ``.pt`` files that
    FlagEmbedding opens.

    Raises:
        OSError: It cannot be written.
    """
    if trainable.adapter is not None:
        (folder / ADAPTER).mkdir()
        trainable.adapter.save(folder / ADAPTER)
        trainable.adapter.merge()
    copy_tokenizer(trainable.files.folder, folder)
    if trainable.spec.landmark:
        add_token(folder / "tokenizer.json", trainable.spec.landmark)
    _end_texts(folder / "tokenizer.json", trainable.spec.ends_in)
    trainable.module.network.save_pretrained(folder)
    if trainable.is_listed:
        name_origin(folder / "config.json", trainable.spec.id)
    if trainable.spec.landmark:
        name_landmark(folder / "config.json", trainable.spec.landmark)
    _write_modules(trainable, folder)
    if isinstance(trainable.module, M3Module):
        for name in ("sparse_linear", "colbert_linear"):
            state = {key: one.detach().clone() for key, one in getattr(trainable.module, name).state_dict().items()}
            save_file(state, folder / f"{name}.safetensors")
            torch.save(state, folder / f"{name}.pt")


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, with its folder."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _end_texts(path: Path, token: str) -> None:
    """Let a tokenizer put the token behind each text that the model was trained with; e5-mistral's file forgets it."""
    if not token or not path.is_file():
        return
    tokenizer = Tokenizer.from_file(str(path))
    found = TextLayout.of(TextTokenizer(tokenizer))
    # It is there: the model was opened with it.
    layout = found.ending_in(tokenizer.token_to_id(token) or 0)
    if layout == found:
        return
    prefix_tokens, suffix_tokens = (
        [str(tokenizer.id_to_token(one)) for one in ids] for ids in (layout.prefix, layout.suffix)
    )
    single = " ".join([*prefix_tokens, "$A", *suffix_tokens])
    pair = f"{single} $B:1 {token}:1"
    special = [(one, tokenizer.token_to_id(one)) for one in dict.fromkeys((*prefix_tokens, *suffix_tokens))]
    tokenizer.post_processor = TemplateProcessing(single=single, pair=pair, special_tokens=special)
    tokenizer.save(str(path))


def _write_modules(trainable: TrainableEmbedder, folder: Path) -> None:
    """Write what sentence-transformers reads, in the words that its releases from 2 to 6 have in common."""
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")]
    if trainable.normalize:
        kinds.append(("2_Normalize", "Normalize"))
        (folder / "2_Normalize").mkdir(exist_ok=True)
    listed = [
        {"idx": index, "name": str(index), "path": path, "type": f"{_MODULES}.{kind}"}
        for index, (path, kind) in enumerate(kinds)
    ]
    write_json(folder / "modules.json", listed)
    pooling: dict[str, Any] = {f"pooling_mode_{key}": name == trainable.pooling for name, key in _POOLINGS.items()}
    width = trainable.module.network.config.hidden_size
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **pooling})
    length = trainable.spec.input_length_tokens(None)
    was = bool(trainable.files.sentence_bert.get("do_lower_case", False))
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": was})
    query, document = trainable.inputs.prefixes
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "prompts": {"query": query, "document": document},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine" if trainable.normalize else "dot",
        },
    )
