"""Rerankers as they are trained: float32 weights that give one score per pair, and how they are saved.

Float32 whatever the checkpoint holds: transformers 5 loads a checkpoint in its own precision, and in bfloat16 seven of
eight weights do not move at a usual learning rate.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.resolve import ResolvedModel, resolve
from rerank_plugins.catalog.scorer_traits import traits_of
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.scorers.trainable import SegmentSimilarityModel
from rerank_plugins.text.pair_inputs import PairInputs, pair_inputs
from rerank_plugins.text.pair_tokenizer import PairSettings
from rerank_plugins.training.batches import PairPadding
from rerank_plugins.training.freezing import freeze
from rerank_plugins.training.names import TRAINED_TODAY
from rerank_plugins.training.settings import DataSettings, ModelSettings
from rerank_plugins.types import LongDocuments
from rerank_plugins.weights.base import LoadRequest
from rerank_plugins.weights.loading import load_model, load_tokenizer

__all__ = ["TrainableReranker", "open_trainable", "pair_settings", "resolve_trainable"]

_CARRIED = (
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
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
)
"""Files beside weights and config that say how texts are read; they are copied as they are."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainableReranker:
    """A reranker in memory that can be trained.

    Attributes:
        module: Gives ``logits`` of shape (pairs, 1) for padded tensors.
        spec: How the model is used.
        files: The checkpoint that it comes from.
        pairs: Its pair tokenizer, with the run's lengths.
        padding: Its tensors.
    """

    module: Any
    spec: ModelSpec
    files: CheckpointFiles
    pairs: PairInputs
    padding: PairPadding

    @property
    def is_listed(self) -> bool:
        """Whether the catalog knows the model that it comes from."""
        return self.spec.id != str(self.files.folder)

    @property
    def n_parameters(self) -> int:
        """Number of weights that are trained."""
        return sum(one.numel() for one in self.module.parameters() if one.requires_grad)

    def save(self, folder: Path) -> None:
        """Write weights as float32 safetensors, config and tokenizer into a folder.

        Raises:
            OSError: It cannot be written.
        """
        for name in _CARRIED:
            if (self.files.folder / name).is_file():
                shutil.copyfile(self.files.folder / name, folder / name)
        if isinstance(self.module, SegmentSimilarityModel):
            shutil.copyfile(self.files.folder / "config.json", folder / "config.json")
            save_file(_own_names(self.module.state_dict()), folder / "model.safetensors", metadata={"format": "pt"})
            return
        self.module.save_pretrained(folder)
        if self.is_listed:
            _name_origin(folder / "config.json", self.spec.id)


def resolve_trainable(model: ModelSettings) -> ResolvedModel:
    """Return the model that a training starts from.

    Raises:
        UnsupportedModelError: It is of a kind that is not trained today.
        ModelError: It cannot be resolved.
    """
    resolved = resolve(model.model_name_or_path, kind="reranker", options=model.source)
    if not traits_of(resolved.spec.scorer).is_classifier:
        msg = (
            f"{str(model.model_name_or_path)!r} is a {resolved.spec.scorer} reranker ({resolved.files.architecture}): "
            f"{TRAINED_TODAY}. Train a cross-encoder, and let this one be its teacher (knowledge_distillation)."
        )
        raise UnsupportedModelError(msg)
    return resolved


def pair_settings(spec: ModelSpec, data: DataSettings) -> PairSettings:
    """Return how pairs are cut: as at inference, with the run's lengths if it has its own.

    Raises:
        InvalidInputError: The model cannot read pairs of that length.
    """
    max_length, query_limit = None, None
    if data.query_max_len is not None and data.passage_max_len is not None:
        max_length = data.query_max_len + data.passage_max_len
        query_limit = data.query_max_len + data.passage_max_len // 4
    return PairSettings(
        max_length_tokens=spec.input_length_tokens(max_length),
        truncation=spec.truncation,
        query_limit_tokens=query_limit,
        long_documents=LongDocuments(query_max_length=query_limit),
        # An epoch sees each text a few times at most.
        use_token_cache=False,
    )


def open_trainable(resolved: ResolvedModel, model: ModelSettings, data: DataSettings) -> TrainableReranker:
    """Load a reranker for training.

    Raises:
        ModelError: It cannot be loaded.
        InvalidInputError: The lengths cannot work, or there are not as many layers as shall be frozen.
    """
    request = LoadRequest(
        spec=resolved.spec,
        files=resolved.files,
        device=torch.device("cpu"),
        dtype=torch.float32,
        allow_pickle=model.allow_pickle,
        trust_remote_code=model.trust_remote_code,
    )
    tokenizer = load_tokenizer(request)
    pairs = pair_inputs(tokenizer, resolved.spec, pair_settings(resolved.spec, data))
    own = resolved.files.own_format
    module: Any
    if own is not None:
        module = SegmentSimilarityModel(request, own)
    else:
        module = load_model(request, transformers.AutoModelForSequenceClassification)
    freeze(module, embeddings=model.freeze_embeddings, layers=model.frozen_layers)
    padding = PairPadding(
        pad_id=max(module.config.pad_token_id or 0, 0),
        has_types=getattr(module.config, "type_vocab_size", 0) > 1,
        has_segments=own is not None,
    )
    return TrainableReranker(module, resolved.spec, resolved.files, pairs, padding)


def _own_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights by the names of this project's format: the backbone's without a prefix."""
    return {name.removeprefix("backbone."): value.contiguous() for name, value in weights.items()}


def _name_origin(config: Path, model_id: str) -> None:
    """Write into a config which listed model it was made from: by that its conventions are found again.

    transformers 4 wrote the key, 5 leaves it out.
    """
    content = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**content, "_name_or_path": model_id}, indent=2) + "\n", encoding="utf-8")
