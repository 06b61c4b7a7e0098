"""A language model that becomes one with heads on its upper layers, as bge-reranker-v2-minicpm-layerwise was made.

FlagEmbedding 1.4.2 ``finetune/reranker/decoder_only/layerwise/load_model.py`` (``from_raw_model``): every head begins
as the row of "Yes" in the output matrix.
"""

from __future__ import annotations

from dataclasses import replace

from rerank_plugins.catalog.layers import layers_of_config
from rerank_plugins.catalog.resolve import ResolvedModel
from rerank_plugins.catalog.weight_headers import read_headers
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.settings import RerankerTrainingSettings

__all__ = ["lacks_heads", "with_new_heads"]

_RAW, _LAYERED, _SCORER = "MiniCPMForCausalLM", "LayerWiseMiniCPMForCausalLM", "layerwise"
_HEAD = ".linear_head.weight"


def with_new_heads(resolved: ResolvedModel, settings: RerankerTrainingSettings) -> ResolvedModel:
    """Return a MiniCPM as the model with heads that a training makes of it.

    Raises:
        InvalidInputError: It is no MiniCPM, it has not that many layers, or its adapter would belong to no checkpoint.
    """
    files, layer_settings, name = resolved.files, settings.layers, resolved.spec.id
    if files.architecture != _RAW:
        msg = (
            f"start_layer and head_multi cannot be given: {name!r} ({files.architecture}) has no heads on several "
            f"layers, and only a MiniCPM ({_RAW}) can get some"
        )
        raise InvalidInputError(msg)
    lora = settings.lora
    if lora.use_lora is not False and not lora.save_merged_lora_model:
        msg = (
            "with start_layer an adapter belongs to a model that stands in no folder: set save_merged_lora_model to "
            "get the whole model too, or use_lora=False"
        )
        raise InvalidInputError(msg)
    n_layers = files.config.get("num_hidden_layers")
    if not isinstance(n_layers, int) or layer_settings.start_layer is None or layer_settings.start_layer > n_layers:
        msg = f"start_layer={layer_settings.start_layer}, and {name!r} has {n_layers} layers; take one of these"
        raise InvalidInputError(msg)
    config = {
        **{key: value for key, value in files.config.items() if key != "auto_map"},
        "architectures": [_LAYERED],
        "start_layer": layer_settings.start_layer,
        "head_multi": bool(layer_settings.head_multi),
        "head_type": layer_settings.head_type,
    }
    layers = layers_of_config(config, compresses=False)
    return replace(
        resolved,
        spec=replace(resolved.spec, scorer=_SCORER, layers=layers),
        files=replace(files, config=config),
    )


def lacks_heads(resolved: ResolvedModel) -> bool:
    """Return whether a model is used with heads that its checkpoint does not hold."""
    if resolved.spec.layers is None:
        return False
    return not any(name.endswith(_HEAD) for name in read_headers(resolved.files.folder))
