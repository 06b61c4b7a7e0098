"""What a checkpoint's own files say: read, never guessed, never executed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_plugins.catalog.fields import CONFIG, SENTENCE_BERT, SENTENCE_TRANSFORMERS, TOKENIZER, Rule, check_fields
from rerank_plugins.catalog.formats import refuse_adapter, refuse_other_formats
from rerank_plugins.catalog.json_files import is_there, read_json, read_object
from rerank_plugins.catalog.late_formats import read_late_interaction
from rerank_plugins.catalog.late_interaction import LateInteraction
from rerank_plugins.catalog.own_format import OwnFormat, read_own_format
from rerank_plugins.catalog.sentence_modules import SentenceModules, read_modules
from rerank_plugins.catalog.sentence_settings import saved_length
from rerank_plugins.catalog.weight_headers import named_base, read_header
from rerank_plugins.errors import UnsupportedModelError

__all__ = [
    "MULTI_VECTOR_HEADS",
    "TRAINING_RECORD",
    "CheckpointFiles",
    "files_known_by",
    "lost_positions",
    "read_checkpoint",
]

MULTI_VECTOR_HEADS = ("sparse_linear", "colbert_linear")
"""Files, without their ending, in which FlagEmbedding keeps BGE-M3's heads."""

TRAINING_RECORD = "training.json"
"""File in which a training of this package says what it did."""

_HEAD_FILES = ("safetensors", "pt")
_WEIGHTS = "model.safetensors"

_COUNT_FROM_PADDING = (
    *("camembert", "data2vec-text", "esm", "ibert", "longformer", "luke", "markuplm", "mpnet", "roberta"),
    *("roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
)
"""Architectures of which the first token has the position after the padding id, as RoBERTa's has."""

_RELATIVE_POSITIONS = ("t5", "mt5", "umt5")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFiles:
    """The parsed files of one folder; a file that is not there is an empty mapping.

    Attributes:
        folder: Where they are.
        config: ``config.json``.
        tokenizer_config: ``tokenizer_config.json``, and special tokens that ``special_tokens_map.json`` alone names.
        sentence_bert: ``sentence_bert_config.json`` (max_seq_length, do_lower_case).
        sentence_transformers: ``config_sentence_transformers.json`` (prompts).
        modules: What ``modules.json`` and the folders that it names say.
        own_format: What a checkpoint that this project has trained says; None for all others.
        late_interaction: How a ColBERT or its kin is used; None for all others, and for BGE-M3.
    """

    folder: Path
    config: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]
    sentence_bert: Mapping[str, Any]
    sentence_transformers: Mapping[str, Any]
    modules: SentenceModules
    own_format: OwnFormat | None = None
    late_interaction: LateInteraction | None = None

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
        """Name, size in bytes and modification time in ns of each file: changes when a model is saved again.

        One of the files is that of the weights on which the folder's own build, beside it.
        """
        return files_known_by(self.folder, tuple(folder for folder in self.modules.folders if folder.is_dir()))

    @property
    def training_digest(self) -> str | None:
        """Beginning of the SHA-256 of the record that our own trainings leave, in hexadecimal; None without one."""
        path = self.folder / TRAINING_RECORD
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.is_file() else None

    @property
    def max_length_tokens(self) -> int:
        """Tokens the position table allows, special tokens included.

        RoBERTa-like models start counting after the padding id, so two positions are lost
        (``create_position_ids_from_input_ids`` in transformers).
        """
        declared = positions = int(self.config.get("max_position_embeddings") or self.config.get("n_positions") or 512)
        if self.config.get("model_type") in _RELATIVE_POSITIONS and self.modules.kinds:
            return max(positions, self.saved_length or 0)
        is_roberta = self.config.get("model_type") in _COUNT_FROM_PADDING
        # jina-reranker-v2 names its architecture and no model type.
        if is_roberta or self.architecture.startswith(("Roberta", "XLMRoberta", "Camembert")):
            model_type = self.config.get("model_type") if is_roberta else "roberta"
            positions -= lost_positions(str(model_type), int(self.config.get("pad_token_id", 1)))
        if positions < 1:
            msg = (
                f"{str(self.folder / 'config.json')!r} has {declared} positions, of which its pad_token_id="
                f"{self.config.get('pad_token_id')!r} leaves none; download the checkpoint again"
            )
            raise UnsupportedModelError(msg)
        return int(positions) if self.own_format is None else min(positions, self.own_format.max_length_tokens)

    @property
    def saved_length(self) -> int | None:
        """Tokens of an input that sentence-transformers would read; None if neither it nor the tokenizer says."""
        return saved_length(self.sentence_bert, self.tokenizer_config)

    @property
    def is_from_sentence_transformers(self) -> bool:
        """Whether sentence-transformers wrote the folder, whose lengths are then those that were set there."""
        own = ("sentence_transformers", "sbert_ce_default_activation_function")
        return bool(self.modules.kinds) or any(key in self.config for key in own)

    @property
    def keeps_length_in_tokenizer(self) -> bool:
        """Whether version 6 wrote it, which saves a length with the tokenizer alone."""
        saved = self.sentence_bert
        return bool(self.modules.kinds) and "transformer_task" in saved and "max_seq_length" not in saved

    @property
    def needs_remote_code(self) -> bool:
        """Whether the config points at Python code (``auto_map``)."""
        return bool(self.config.get("auto_map"))

    @property
    def width(self) -> int | None:
        """Numbers of a token's vector inside the model; None if the config does not tell."""
        width = self.config.get("hidden_size", self.config.get("d_model"))
        return width if isinstance(width, int) else None

    @property
    def vector_size(self) -> int | None:
        """Length of the vectors; None if the checkpoint does not say.

        That of a static model's table, or what the modules make of the width of the transformer.
        """
        if self.config.get("model_type") == "model2vec":
            table = read_header(self.folder / "model.safetensors").get("embeddings")
            return table.shape[1] if table is not None and len(table.shape) == 2 else None
        return self.modules.width(self.width)

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
        found = prompts.get(name)
        return found if isinstance(found, str) else None


def lost_positions(model_type: str, padding_id: int) -> int:
    """Return how many of a model's positions no token has, because the first one stands behind the padding id.

    Args:
        model_type: Of its configuration.
        padding_id: Likewise.
    """
    if model_type not in _COUNT_FROM_PADDING:
        return 0
    # MPNet counts from its published padding id, whatever the configuration says.
    return (1 if model_type == "mpnet" else padding_id) + 1


def read_checkpoint(folder: Path) -> CheckpointFiles:
    """Read the JSON files of a checkpoint.

    Raises:
        UnsupportedModelError: There is no ``config.json``, a file is not valid JSON, or a module
            is needed that this package does not know.
    """
    refuse_adapter(folder)
    config = _settings(folder / "config.json", CONFIG)
    settings = _settings(folder / "config_sentence_transformers.json", SENTENCE_TRANSFORMERS)
    late = read_late_interaction(folder, config, settings, _raw)
    modules = read_modules(folder, _raw) if late is None else SentenceModules(folders=tuple(late.folders))
    if not is_there(folder / "config.json"):
        refuse_other_formats(folder)
        found = sorted(entry.name for entry in folder.iterdir())[:10] or "nothing"
        msg = (
            f"{str(folder)!r} has no config.json, so it is not a Hugging Face checkpoint; it holds {found}. "
            "Point to the folder that has config.json, tokenizer.json and model.safetensors."
        )
        raise UnsupportedModelError(msg)
    cut = settings.get("truncate_dim")
    if modules.poolings and isinstance(cut, int) and not isinstance(cut, bool) and cut > 0:
        modules = modules.cut(cut)
    return CheckpointFiles(
        folder=folder,
        config=config,
        tokenizer_config=_tokenizer_settings(folder),
        sentence_bert=_settings(folder / "sentence_bert_config.json", SENTENCE_BERT),
        sentence_transformers=settings,
        modules=modules,
        own_format=read_own_format(config, folder=folder),
        late_interaction=late,
    )


def files_known_by(folder: Path, others: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
    """Return name from a folder, size in bytes and modification time in ns of each file of it and of other folders.

    One of the files is that of the weights on which the folder's own build, beside it.
    """
    paths = sorted(path for one in (folder, *others) for path in one.iterdir() if path.is_file())
    found = [(str(path.relative_to(folder)), path.stat()) for path in paths]
    base = named_base(folder / _WEIGHTS)
    if base is not None and base == Path(base).name and (folder.parent / base / _WEIGHTS).is_file():
        found.append((f"../{base}/{_WEIGHTS}", (folder.parent / base / _WEIGHTS).stat()))
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)


def _settings(path: Path, rules: Mapping[str, Rule]) -> Mapping[str, Any]:
    found = read_object(path)
    check_fields(found, rules, path=path)
    return found


def _tokenizer_settings(folder: Path) -> Mapping[str, Any]:
    """Return ``tokenizer_config.json``, with the tokens of ``special_tokens_map.json`` where transformers reads them.

    It does (``PreTrainedTokenizerBase._from_pretrained``) unless the former lists the added tokens, as newer ones do.
    """
    found = _settings(folder / "tokenizer_config.json", TOKENIZER)
    if "added_tokens_decoder" in found:
        return found
    named = _settings(folder / "special_tokens_map.json", TOKENIZER)
    return {**found, **{name: token for name, token in named.items() if name.endswith(("_token", "special_tokens"))}}


def _raw(path: Path) -> Any:
    return read_json(path) if is_there(path) else {}
