"""What a checkpoint's own files say: read, never guessed, never executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_plugins.catalog.own_format import OwnFormat, read_own_format
from rerank_plugins.catalog.spec import Pooling
from rerank_plugins.errors import UnsupportedModelError

__all__ = ["MULTI_VECTOR_HEADS", "CheckpointFiles", "read_checkpoint"]

MULTI_VECTOR_HEADS = ("sparse_linear", "colbert_linear")
"""Files, without their ending, in which FlagEmbedding keeps BGE-M3's heads."""

_HEAD_FILES = ("safetensors", "pt")

_POOLING_KEYS: Mapping[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last_token",
}
_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize", "Dense", "LogitScore")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFiles:
    """The parsed files of one folder; a file that is not there is an empty mapping.

    Attributes:
        folder: Where they are.
        config: ``config.json``.
        tokenizer_config: ``tokenizer_config.json``.
        sentence_bert: ``sentence_bert_config.json`` (max_seq_length, do_lower_case).
        sentence_transformers: ``config_sentence_transformers.json`` (prompts).
        pooling: From the Pooling module's config; None if there is none.
        pools_instruction: ``include_prompt`` of that config; None if it does not say.
        modules: Class names listed in ``modules.json``, without their package, and their folders.
        own_format: What a checkpoint that this project has trained says; None for all others.
    """

    folder: Path
    config: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]
    sentence_bert: Mapping[str, Any]
    sentence_transformers: Mapping[str, Any]
    pooling: Pooling | None
    pools_instruction: bool | None
    modules: Mapping[str, str]
    own_format: OwnFormat | None = None

    @property
    def architecture(self) -> str:
        """The first of ``architectures``; empty if the config names none."""
        architectures = self.config.get("architectures") or [""]
        return str(architectures[0])

    @property
    def n_labels(self) -> int:
        """Outputs of the classification head (transformers' default is two)."""
        labels = self.config.get("id2label")
        return len(labels) if labels else int(self.config.get("num_labels", 2))

    @property
    def fingerprint(self) -> tuple[tuple[str, int, int], ...]:
        """Name, size in bytes and modification time in ns of each file: changes when a model is saved again."""
        stats = ((path.name, path.stat()) for path in sorted(self.folder.iterdir()) if path.is_file())
        return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)

    @property
    def max_length_tokens(self) -> int:
        """Tokens the position table allows, special tokens included.

        RoBERTa-like models start counting after the padding id, so two positions are lost
        (``create_position_ids_from_input_ids`` in transformers).
        """
        positions = int(self.config.get("max_position_embeddings") or self.config.get("n_positions") or 512)
        is_roberta = self.config.get("model_type") in ("roberta", "xlm-roberta", "camembert")
        # jina-reranker-v2 names its architecture and no model type.
        if is_roberta or self.architecture.startswith(("Roberta", "XLMRoberta", "Camembert")):
            positions -= int(self.config.get("pad_token_id", 1)) + 1
        return positions if self.own_format is None else min(positions, self.own_format.max_length_tokens)

    @property
    def needs_remote_code(self) -> bool:
        """Whether the config points at Python code (``auto_map``)."""
        return bool(self.config.get("auto_map"))

    @property
    def vector_size(self) -> int | None:
        """Length of the vectors; None if it is not told.

        That of a static model's table, what a Dense module gives, or the width of the transformer.
        """
        if self.config.get("model_type") == "model2vec":
            shape = _tensor_shape(self.folder / "model.safetensors", "embeddings")
            return shape[1] if shape else None
        if "Dense" in self.modules:
            dense = _json(self.folder / self.modules["Dense"] / "config.json")
            return int(dense["out_features"]) if "out_features" in dense else None
        width = self.config.get("hidden_size", self.config.get("d_model"))
        return width if isinstance(width, int) else None

    @property
    def ends_in(self) -> str:
        """Token that the tokenizer's config asks to be put behind every text; empty if it asks for none.

        ``tokenizer.json`` may lack it all the same, and transformers 5 then leaves it out.
        """
        return self.special_token("eos_token") or "" if self.tokenizer_config.get("add_eos_token") is True else ""

    @property
    def has_multi_vector_heads(self) -> bool:
        """Whether heads for lexical weights or token vectors lie beside the weights (BGE-M3)."""
        return any((self.folder / f"{name}.{kind}").is_file() for name in MULTI_VECTOR_HEADS for kind in _HEAD_FILES)

    def special_token(self, name: str) -> str | None:
        """Return the text of a special token such as ``eos_token``, or None if the tokenizer's config names none."""
        entry = self.tokenizer_config.get(name)
        return entry.get("content") if isinstance(entry, Mapping) else entry

    def prompt(self, name: str) -> str | None:
        """Return a prompt of ``config_sentence_transformers.json``, or None."""
        prompts = self.sentence_transformers.get("prompts") or {}
        return prompts.get(name)


def read_checkpoint(folder: Path) -> CheckpointFiles:
    """Read the JSON files of a checkpoint.

    Raises:
        UnsupportedModelError: There is no ``config.json``, a file is not valid JSON, or a module
            is needed that this package does not know.
    """
    if not (folder / "config.json").is_file():
        found = sorted(entry.name for entry in folder.iterdir())[:10] or "nothing"
        msg = (
            f"{str(folder)!r} has no config.json, so it is not a Hugging Face checkpoint; it holds {found}. "
            "Point to the folder that has config.json, tokenizer.json and model.safetensors."
        )
        raise UnsupportedModelError(msg)
    modules = _modules(folder)
    pooling_path = folder / modules.get("Pooling", "1_Pooling") / "config.json"
    config = _json(folder / "config.json")
    return CheckpointFiles(
        folder=folder,
        config=config,
        tokenizer_config=_json(folder / "tokenizer_config.json"),
        sentence_bert=_json(folder / "sentence_bert_config.json"),
        sentence_transformers=_json(folder / "config_sentence_transformers.json"),
        pooling=_pooling(pooling_path),
        pools_instruction=_json(pooling_path).get("include_prompt"),
        modules=modules,
        own_format=read_own_format(config, folder=folder),
    )


def _json(path: Path) -> Any:
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        msg = f"{str(path)!r} is not valid JSON ({error}); download the checkpoint again"
        raise UnsupportedModelError(msg) from error


def _tensor_shape(path: Path, name: str) -> list[int] | None:
    """Return the shape that a safetensors file's header gives for a tensor, or None; the tensor is not read.

    The header is JSON, behind its length in 8 bytes (https://github.com/huggingface/safetensors#format).
    """
    if not path.is_file():
        return None
    with path.open("rb") as stored:
        length = int.from_bytes(stored.read(8), "little")
        if length > path.stat().st_size:
            return None
        try:
            entry = json.loads(stored.read(length)).get(name)
        except (json.JSONDecodeError, UnicodeDecodeError):
            return None
    return entry["shape"] if entry else None


def _modules(folder: Path) -> dict[str, str]:
    listed = _json(folder / "modules.json") or []
    modules = {str(entry["type"]).rsplit(".", 1)[-1]: str(entry.get("path", "")) for entry in listed}
    unknown = [name for name in modules if name not in _KNOWN_MODULES]
    if unknown:
        msg = (
            f"{str(folder)!r} needs the sentence-transformers modules {unknown}, which this package does not run; "
            f"it runs {list(_KNOWN_MODULES)}"
        )
        raise UnsupportedModelError(msg)
    return modules


def _pooling(path: Path) -> Pooling | None:
    config = _json(path)
    if not config:
        return None
    chosen = [pooling for key, pooling in _POOLING_KEYS.items() if config.get(key)]
    mode = config.get("pooling_mode")
    if not chosen and mode in ("cls", "mean", "lasttoken"):
        chosen = [
            _POOLING_KEYS[
                {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens"}.get(
                    mode, "pooling_mode_lasttoken"
                )
            ]
        ]
    if len(chosen) != 1:
        msg = f"{str(path)!r} asks for a pooling other than cls, mean or last token: {dict(config)}"
        raise UnsupportedModelError(msg)
    return chosen[0]
