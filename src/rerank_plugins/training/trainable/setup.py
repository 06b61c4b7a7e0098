"""What the opening of every kind of reranker has in common: what is loaded, adapted, frozen, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rerank_plugins.text.pair_inputs import PairInputs, pair_inputs
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.training.freezing import freeze
from rerank_plugins.training.trainable.adapters import Adapter, LoraPlace, attach_lora, merge_raw
from rerank_plugins.training.trainable.base import Opening
from rerank_plugins.training.trainable.layout import pair_settings
from rerank_plugins.training.trainable.prompted import PromptedPairs
from rerank_plugins.types import LayerOptions
from rerank_plugins.weights.base import LoadRequest

__all__ = ["TrainingSetup"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrainingSetup:
    """A training whose model is about to be loaded.

    Attributes:
        request: What to load, on the CPU.
        settings: What was asked for: the settings of a reranker or of an embedder, which share ``model`` and ``lora``.
        tokenizer: The model's.
        uses_lora: Whether an adapter is trained.
        has_new_heads: Whether the model gets heads that its checkpoint lacks.
    """

    request: LoadRequest
    settings: Any
    tokenizer: TextTokenizer
    uses_lora: bool
    has_new_heads: bool = False

    @property
    def base(self) -> str | Path | None:
        """The checkpoint that a new adapter belongs to; None where there is none."""
        return None if self.settings.lora.raw_peft or self.has_new_heads else self.settings.model.model_name_or_path

    def adapt(self, network: Any, *, kept: dict[str, str] | None = None) -> Adapter | None:
        """Merge and attach the adapters that were asked for; None if all weights are trained.

        Args:
            network: What gets them, in place.
            kept: Modules that can have none, with the reason.

        Raises:
            InvalidInputError: There are no such layers.
            ModelError: An adapter is missing, or for another model.
            MissingExtraError: PEFT is not installed.
        """
        lora, model = self.settings.lora, self.settings.model
        merge_raw(network, lora, local_files_only=model.local_files_only)
        if not self.uses_lora:
            return None
        place = LoraPlace(
            model=str(model.model_name_or_path), base=self.base, seed=self.settings.run.seed, kept=kept or {}
        )
        adapter = attach_lora(network, lora, place, local_files_only=model.local_files_only)
        for one in network.parameters():
            # Below the adapters weights may be in half precision; what is trained is not.
            if one.requires_grad:
                one.data = one.data.to(torch.float32)
        return adapter

    def freeze(self, network: Any) -> None:
        """Take the weights out of training that shall stay as they are.

        Raises:
            InvalidInputError: There are not that many layers, or nothing would be left to train.
        """
        model = self.settings.model
        freeze(network, embeddings=model.freeze_embeddings, layers=model.frozen_layers)

    def pairs(self) -> PairInputs:
        """Return the pair tokenizer: inference's own, with the run's lengths.

        Raises:
            InvalidInputError: The lengths cannot work.
        """
        # Groups have the instructions in front already, the model's own too.
        spec = replace(self.request.spec, query_prefix="", document_prefix="")
        settings = pair_settings(spec, self.settings.data)
        make = PromptedPairs if spec.takes_prompt else pair_inputs
        return make(self.tokenizer, spec, settings)

    @property
    def prefixes(self) -> tuple[str, str] | None:
        """What the trained reranker's folder says that stands in front of queries and texts; None for nothing."""
        own, spec = self.settings.data.prefixes, self.request.spec
        return own if any((*own, spec.query_prefix, spec.document_prefix)) else None

    def start(self, layers: LayerOptions | None = None) -> Opening | None:
        """Return how the model is opened at inference before it is trained; None where that cannot be."""
        if self.base is None:
            return None
        return Opening(model=self.base, peft_path=self.settings.lora.from_peft, layers=layers)
