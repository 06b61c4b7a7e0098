"""How a trained model is used, in the words of its card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rerank_plugins.catalog.resolve import ResolvedModel
from rerank_plugins.catalog.scorer_traits import traits_of
from rerank_plugins.training.settings import LoraSettings, RerankerTrainingSettings
from rerank_plugins.training.trainable.base import MERGED
from rerank_plugins.training.trainable.layerwise import requested_layers
from rerank_plugins.training.trainable.opening import uses_lora
from rerank_plugins.types import LayerOptions

__all__ = ["Usage", "usage_of"]

_OWN = "The folder's format is this project's own; no other library reads it."
_OPENS = {
    "classifier": (
        "The folder also opens in transformers (`AutoModelForSequenceClassification`) and sentence-transformers "
        "(`CrossEncoder`)."
    ),
    "answer": "The folder also opens in transformers (`AutoModelForCausalLM`).",
    "layers": "Weights have the names of the published model, so that its own code reads them too.",
}
_NAMES = {
    "classifier": "cross-encoder",
    "answer": "language model",
    "layers": "language model with heads on its layers",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How a model is used.

    Attributes:
        kind: What it is.
        library: The library that the hub shows it under.
        code: Lines of Python that open it.
        opens: What else does.
        trained: What was trained of it, in lines of a list.
    """

    kind: str
    library: str
    code: tuple[str, ...]
    opens: str
    trained: tuple[str, ...] = ()


def usage_of(
    settings: RerankerTrainingSettings, resolved: ResolvedModel, name: str, *, length: int | None, family: str | None
) -> Usage:
    """Return how the result of a training is used.

    Args:
        settings: The training's.
        resolved: What it started from.
        name: Of the output folder.
        length: Tokens of a pair, where the run had its own; None for the model's.
        family: Conventions that have to be named; None where the files tell them.
    """
    kind = traits_of(resolved.spec.scorer).trained_as
    lora = uses_lora(settings.lora, kind)
    merged = settings.lora.save_merged_lora_model
    base = str(settings.model.model_name_or_path)
    options = [f"max_length={length}"] if length is not None else []
    imports = ["Reranker"]
    layers = None if resolved.spec.layers is None else requested_layers(settings.layers, resolved.spec.layers)
    if layers is not None and layers.head_by_layer:
        options.append(f"layers={_written(layers)}")
        imports.append("LayerOptions")
    source = [f'family="{family}"'] if family is not None else []
    if lora and not merged:
        source.append(f'peft_path="{name}"')
    if source:
        options.append(f"source=SourceOptions({', '.join(source)})")
        imports.append("SourceOptions")
    model = (f"{name}/{MERGED}" if merged else _short(base)) if lora else name
    call = ", ".join([f'"{model}"', *options])
    code = (f"from rerank_plugins import {', '.join(sorted(imports))}", "", f"reranker = Reranker({call})")
    if not lora:
        opens = _OPENS[kind] if resolved.files.own_format is None else _OWN
        return Usage(
            kind=_NAMES[kind], library="transformers", code=code, opens=opens, trained=_of_layers(settings, resolved)
        )
    whole = f" The whole model is in `{MERGED}`." if merged else ""
    with_raw = " with the adapters merged that `training.json` names" if settings.lora.raw_peft else ""
    return Usage(
        kind=_NAMES[kind],
        library="peft",
        code=code,
        opens=f"The folder holds an adapter in PEFT's format for `{_short(base)}`{with_raw}.{whole}",
        trained=(_of_adapter(settings.lora), *_of_layers(settings, resolved)),
    )


def _of_adapter(lora: LoraSettings) -> str:
    if lora.from_peft is not None:
        return f"an adapter (LoRA) that began as `{_short(str(lora.from_peft))}`"
    return f"an adapter (LoRA) of rank {lora.lora_rank} on {', '.join(lora.target_modules)}"


def _of_layers(settings: RerankerTrainingSettings, resolved: ResolvedModel) -> tuple[str, ...]:
    layers = resolved.spec.layers
    if layers is None:
        return ()
    return (f"layers {layers.first} to {layers.last}, the {settings.layers.layer_reduction} of their losses",)


def _written(layers: LayerOptions) -> str:
    """Return the options of a model whose layers have their own heads, as Python writes them."""
    arguments = ["head_by_layer=True"]
    if layers.compress_ratio != 1:
        arguments.append(f"compress_ratio={layers.compress_ratio}")
    if layers.compress_layers is not None:
        arguments.append(f"compress_layers={layers.compress_layers}")
    return f"LayerOptions({', '.join(arguments)})"


def _short(model: str) -> str:
    """Return a hub id as it is, and of a path the last part."""
    return model if model.count("/") < 2 else Path(model).name
