"""From settings to a reranker in memory, of whichever kind: one file for each beside this one."""

from __future__ import annotations

from dataclasses import replace

import torch

from rerank_plugins.backends.named import refuse_backend
from rerank_plugins.catalog.resolve import ResolvedModel, resolve
from rerank_plugins.catalog.scorer_traits import traits_of
from rerank_plugins.catalog.weight_headers import read_headers
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import InvalidInputError, UnsupportedModelError
from rerank_plugins.training.names import TRAINED_TODAY
from rerank_plugins.training.settings import LayerSettings, LoraSettings, RerankerTrainingSettings
from rerank_plugins.training.trainable.base import TrainableReranker
from rerank_plugins.training.trainable.classifier import open_classifier
from rerank_plugins.training.trainable.decoder import open_decoder
from rerank_plugins.training.trainable.layerwise import open_layerwise
from rerank_plugins.training.trainable.new_heads import lacks_heads, with_new_heads
from rerank_plugins.training.trainable.setup import TrainingSetup
from rerank_plugins.types import SourceOptions
from rerank_plugins.weights.base import LoadRequest
from rerank_plugins.weights.tokenizers import load_tokenizer

__all__ = ["open_trainable", "resolve_trainable", "uses_lora"]

_FAMILY_WITH_LAYERS = "bge"
_OPENERS = {"classifier": open_classifier, "answer": open_decoder, "layers": open_layerwise}


def resolve_trainable(settings: RerankerTrainingSettings) -> ResolvedModel:
    """Return the model that a training starts from.

    Raises:
        UnsupportedModelError: It is of a kind that is not trained today.
        InvalidInputError: Settings are about something that the model does not have.
        ModelError: It cannot be resolved.
        MissingExtraError: PEFT is needed and not installed.
    """
    model = settings.model
    refuse_backend(model.model_name_or_path, kind="reranker")
    resolved = resolve(model.model_name_or_path, kind="reranker", options=_source(settings))
    if settings.layers.start_layer is not None and resolved.spec.layers is None:
        resolved = with_new_heads(resolved, settings)
    kind = traits_of(resolved.spec.scorer).trained_as
    if not kind:
        msg = (
            f"{str(model.model_name_or_path)!r} is a {resolved.spec.scorer} reranker ({resolved.files.architecture}): "
            f"{TRAINED_TODAY}. Train one of these, and let this one be its teacher (knowledge_distillation)."
        )
        raise UnsupportedModelError(msg)
    _check_layers(settings.layers, resolved)
    if uses_lora(settings.lora, kind):
        import_extra("peft", extra="train")
    _check_base_dtype(settings.lora, resolved, kind)
    if not uses_lora(settings.lora, kind):
        settings.lora.check_unused()
    return resolved


def open_trainable(resolved: ResolvedModel, settings: RerankerTrainingSettings) -> TrainableReranker:
    """Load a reranker for training, in float32.

    Raises:
        ModelError: It cannot be loaded.
        InvalidInputError: The lengths cannot work, or there are not the layers that shall be frozen or adapted.
        MissingExtraError: PEFT is needed and not installed.
    """
    model, lora = settings.model, settings.lora
    request = LoadRequest(
        spec=resolved.spec,
        files=resolved.files,
        device=torch.device("cpu"),
        dtype=torch.bfloat16 if lora.lora_base_dtype == "bfloat16" else torch.float32,
        allow_pickle=model.allow_pickle,
        trust_remote_code=model.trust_remote_code,
    )
    kind = traits_of(resolved.spec.scorer).trained_as
    setup = TrainingSetup(
        request=request,
        settings=settings,
        tokenizer=load_tokenizer(request),
        uses_lora=uses_lora(lora, kind),
        has_new_heads=lacks_heads(resolved),
    )
    return _OPENERS[kind](setup)


def _source(settings: RerankerTrainingSettings) -> SourceOptions:
    """Return where the model comes from; one that gets heads is given the prompt of the published layerwise model."""
    # An adapter to go on with says what it was trained to read in front of texts.
    source = replace(settings.model.source, peft_path=settings.lora.from_peft)
    if settings.layers.start_layer is None or source.family is not None:
        return source
    return replace(source, family=_FAMILY_WITH_LAYERS)


def uses_lora(lora: LoraSettings, kind: str) -> bool:
    """Return whether a model of a kind is trained by an adapter."""
    if lora.use_lora is None:
        return kind != "classifier" or lora.from_peft is not None
    return lora.use_lora


def _check_base_dtype(lora: LoraSettings, resolved: ResolvedModel, kind: str) -> None:
    """Refuse weights in half precision where they are trained, or where they would be other weights than the stored."""
    if lora.lora_base_dtype == "float32":
        return
    if not uses_lora(lora, kind):
        msg = "lora_base_dtype is about the weights below an adapter, and none is trained; set use_lora"
        raise InvalidInputError(msg)
    stored = {one.dtype for one in read_headers(resolved.files.folder).values() if one.dtype in ("F32", "F16")}
    if stored:
        msg = (
            f"lora_base_dtype='bfloat16' would round the weights of {resolved.spec.id!r}, which are stored as "
            f"{', '.join(sorted(stored))}: the adapter would be trained on another model than it is used with. Leave "
            "it at float32"
        )
        raise InvalidInputError(msg)


def _check_layers(settings: LayerSettings, resolved: ResolvedModel) -> None:
    """Refuse settings of heads that the model does not have, or has otherwise."""
    layers, name = resolved.spec.layers, resolved.spec.id
    if layers is None:
        names = [
            one for one in ("start_layer", "head_multi", "compress_layers") if getattr(settings, one) not in (None, ())
        ]
        names += ["compress_ratio"] if settings.compress_ratio != 1 else []
        if names:
            msg = f"{' and '.join(names)} cannot be given: {name!r} has no heads on several layers"
            raise InvalidInputError(msg)
        return
    has_one_each = layers.compresses or bool(resolved.files.config.get("head_multi"))
    if settings.start_layer not in (None, layers.first) or settings.head_multi not in (None, has_one_each):
        msg = (
            f"start_layer={settings.start_layer} and head_multi={settings.head_multi}, and {name!r} has heads already: "
            f"from layer {layers.first} on, {'one each' if has_one_each else 'one for all'}. Leave both out"
        )
        raise InvalidInputError(msg)
