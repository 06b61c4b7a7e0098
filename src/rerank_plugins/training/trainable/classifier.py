"""Cross-encoders with one label: those of transformers, and this project's own format."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from safetensors.torch import save_file
from torch import Tensor

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.scorers.trainable import SegmentSimilarityModel
from rerank_plugins.scorers.trained import ClassifierModule
from rerank_plugins.training.batches import PairPadding
from rerank_plugins.training.trainable.base import TrainableReranker, name_origin
from rerank_plugins.training.trainable.instructions import name_default_prompt
from rerank_plugins.training.trainable.setup import TrainingSetup
from rerank_plugins.weights.loading import load_model

__all__ = ["Classifier", "open_classifier"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Classifier(TrainableReranker):
    """A cross-encoder in memory."""

    def _save_weights(self, folder: Path) -> None:
        if isinstance(self.module, SegmentSimilarityModel):
            shutil.copyfile(self.files.folder / "config.json", folder / "config.json")
            save_file(_own_names(self.module.state_dict()), folder / "model.safetensors", metadata={"format": "pt"})
            return
        model = self.module.network if self.adapter is not None else self.module
        model.save_pretrained(folder)
        if self.is_listed:
            name_origin(folder / "config.json", self.spec.id)
        if self.prefixes is not None:
            length = self.spec.input_length_tokens(None)
            name_default_prompt(folder, self.prefixes[0], max_length_tokens=length)


def open_classifier(setup: TrainingSetup) -> Classifier:
    """Load a cross-encoder for training.

    Raises:
        ModelError: It cannot be loaded.
        InvalidInputError: The lengths cannot work, or what shall be adapted or frozen is not there.
    """
    own = setup.request.files.own_format
    module: Any
    adapter = None
    if own is not None:
        if setup.uses_lora or setup.settings.lora.raw_peft:
            msg = (
                f"{setup.request.spec.id!r} is too small to gain anything by LoRA, and is trained without: leave "
                "use_lora, from_peft and raw_peft out"
            )
            raise UnsupportedModelError(msg)
        module = SegmentSimilarityModel(setup.request, own)
    else:
        module = load_model(setup.request, transformers.AutoModelForSequenceClassification)
        adapter = setup.adapt(module)
    setup.freeze(module)
    padding = PairPadding(
        pad_id=max(module.config.pad_token_id or 0, 0),
        has_types=getattr(module.config, "type_vocab_size", 0) > 1,
        has_segments=own is not None,
    )
    return Classifier(
        module=module if adapter is None else ClassifierModule(module),
        spec=setup.request.spec,
        files=setup.request.files,
        pairs=setup.pairs(),
        padding=padding,
        start=setup.start(),
        adapter=adapter,
        prefixes=setup.prefixes,
    )


def _own_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights by the names of this project's format: the backbone's without a prefix."""
    return {name.removeprefix("backbone."): value.contiguous() for name, value in weights.items()}
