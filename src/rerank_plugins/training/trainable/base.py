"""What every kind of reranker is for a training: a module that gives scores, and how what it learnt is saved.

Float32 whatever the checkpoint holds: transformers 5 loads a checkpoint in its own precision, and in bfloat16 seven of
eight weights do not move at a usual learning rate.
"""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.text.pair_inputs import PairInputs
from rerank_plugins.training.batches import PairPadding
from rerank_plugins.training.trainable.adapters import Adapter
from rerank_plugins.training.trainable.instructions import name_instructions
from rerank_plugins.types import LayerOptions

__all__ = ["MERGED", "Opening", "TrainableReranker", "copy_tokenizer", "name_origin"]

MERGED = "merged_model"
"""FlagEmbedding's name for the folder of the whole model, in that of its adapter."""

_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "chat_template.jinja",
)
_CARRIED_TOO = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")
"""Files beside weights and config that say how texts are read; they are copied as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a model is opened at inference.

    Attributes:
        model: Hub id or folder.
        peft_path: Its adapter; None for none.
        layers: Which layer scores and how, where there are several; None for the model's default.
    """

    model: str | Path
    peft_path: str | Path | None = None
    layers: LayerOptions | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrainableReranker(ABC):
    """A reranker in memory that can be trained.

    Attributes:
        module: Gives ``logits`` for padded tensors. Shape: (pairs, 1), or (pairs, layers) from a model with heads on
            several layers in training mode; in evaluation mode it always gives the score that inference gives.
        spec: How the model is used.
        files: The checkpoint that it comes from.
        pairs: Its pair tokenizer, with the run's lengths.
        padding: Its tensors.
        start: How the same model is opened at inference before it is trained; None where only the module is it.
        adapter: What is trained instead of the model's own weights; None if these are.
        layers: What its scores are asked with at inference; None where there is nothing to ask for.
        prefixes: What the folder says that stands in front of queries and of texts; None where it says nothing.
    """

    module: Any
    spec: ModelSpec
    files: CheckpointFiles
    pairs: PairInputs
    padding: PairPadding
    start: Opening | None
    adapter: Adapter | None = None
    layers: LayerOptions | None = None
    prefixes: tuple[str, str] | None = None

    @property
    def is_listed(self) -> bool:
        """Whether the catalog knows the model that it comes from."""
        return self.spec.id != str(self.files.folder)

    @property
    def n_parameters(self) -> int:
        """Number of weights that are trained."""
        return sum(one.numel() for one in self.module.parameters() if one.requires_grad)

    def save(self, folder: Path) -> None:
        """Write what was trained into a folder: the whole model in float32, or its adapter.

        An adapter that is saved merged, in the folder ``merged_model``, is part of the module's own weights from then
        on.

        Raises:
            OSError: It cannot be written.
        """
        if self.adapter is None:
            self._save_model(folder)
            return
        self._copy_side_files(folder)
        self.adapter.save(folder)
        if self.adapter.saves_merged:
            self.adapter.merge()
            (folder / MERGED).mkdir()
            self._save_model(folder / MERGED)

    def openings(self, folder: Path) -> list[Opening]:
        """Return every way in which a saved folder can be opened; the first one is the plainest."""
        if self.adapter is None:
            return [Opening(model=folder, layers=self.layers)]
        merged = [Opening(model=folder / MERGED, layers=self.layers)] if self.adapter.saves_merged else []
        # With adapters that were merged before, or new heads, there is no checkpoint that the new one belongs to.
        if self.adapter.base is not None:
            merged.append(Opening(model=self.adapter.base, peft_path=folder, layers=self.layers))
        return merged

    @abstractmethod
    def _save_weights(self, folder: Path) -> None:
        """Write weights and config of the whole model."""

    def _save_model(self, folder: Path) -> None:
        self._copy_side_files(folder)
        self._save_weights(folder)

    def _copy_side_files(self, folder: Path) -> None:
        copy_tokenizer(self.files.folder, folder)
        for name in _CARRIED_TOO:
            if (self.files.folder / name).is_file():
                shutil.copyfile(self.files.folder / name, folder / name)
        if self.prefixes is not None:
            name_instructions(folder, self.prefixes)


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copy the files of a checkpoint's tokenizer as they are.

    Raises:
        OSError: One cannot be written.
    """
    for name in _TOKENIZER:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def name_origin(config: Path, model_id: str) -> None:
    """Write into a config which listed model it was made from: by that its conventions are found again.

    transformers 4 wrote the key, 5 leaves it out.
    """
    content = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**content, "_name_or_path": model_id}, indent=2) + "\n", encoding="utf-8")
