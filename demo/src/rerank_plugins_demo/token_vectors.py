"""A late-interaction model from what is bundled: the trained encoder of the mini reranker, without its head."""

from __future__ import annotations

import json
import shutil
import string
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file, save_file

from rerank_plugins.catalog.resolve import resolve

__all__ = ["write_token_vector_model"]

_SETTINGS: dict[str, Any] = {
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {
            "idx": 1,
            "name": "1",
            "path": "1_MultiVectorMask",
            "type": "sentence_transformers.multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask",
        },
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ],
    "config_sentence_transformers.json": {"model_type": "MultiVectorEncoder", "similarity_fn_name": "meanmaxsim"},
    "sentence_bert_config.json": {"max_seq_length": 256},
    "1_MultiVectorMask/config.json": {"skiplist_words": list(string.punctuation)},
    "2_Normalize/config.json": {},
}


def write_token_vector_model(folder: Path) -> Path:
    """Write a checkpoint of sentence-transformers' ``MultiVectorEncoder`` and return its folder.

    Its encoder is that of the bundled ``mini`` reranker, whose head compares tokens too; a token's vector is the last
    layer, without a projection. It was trained as a reranker, with query and document in one text, and not to read
    each alone, so it ranks worse than ``mini`` and worse than a trained ColBERT.

    Args:
        folder: Is made; must not exist.

    Raises:
        FileExistsError: It exists.
        ModelError: The mini models are not installed.
    """
    source = resolve("mini", kind="reranker").files.folder
    folder.mkdir(parents=True)
    stored = load_file(source / "model.safetensors")
    weights = {}
    for name, values in stored.items():
        if not name.startswith("head.") and not name.endswith(".scale"):
            scale = stored.get(f"{name}.scale")
            weights[name] = values if scale is None else values * scale[:, None]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copyfile(source / name, folder / name)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    del config["rerank_plugins"]
    changed = {"architectures": ["BertModel"], "model_type": "bert"}
    for name, settings in {**_SETTINGS, "config.json": {**config, **changed}}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(settings), encoding="utf-8")
    return folder
