"""Language models with a head on each of their upper layers: layerwise (MiniCPM) and lightweight (Gemma 2) ones.

They train on the decoder in plain torch that inference runs (:mod:`rerank_plugins.nn.layered_decoder`), with any
supported transformers and without the checkpoint's own code; a lightweight one also through its compression.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file

from rerank_plugins.catalog.layers import LayerRange
from rerank_plugins.scorers.answers import answer_ids
from rerank_plugins.scorers.layered import read_gemma2, read_minicpm
from rerank_plugins.scorers.trained_layers import LayeredModule, LayeredNetwork
from rerank_plugins.training.batches import PairPadding
from rerank_plugins.training.settings import LayerSettings
from rerank_plugins.training.trainable.base import TrainableReranker, name_origin
from rerank_plugins.training.trainable.setup import TrainingSetup
from rerank_plugins.types import LayerOptions

__all__ = ["Layerwise", "open_layerwise", "requested_layers"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Layerwise(TrainableReranker):
    """A model with heads in memory."""

    def _save_weights(self, folder: Path) -> None:
        network = self.module.network
        weights = {name: one.detach().float().contiguous() for name, one in network.state_dict().items()}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        config = {**network.config, "torch_dtype": "float32"}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        if self.is_listed:
            name_origin(folder / "config.json", self.spec.id)


def open_layerwise(setup: TrainingSetup) -> Layerwise:
    """Load a model with heads for training.

    Raises:
        ModelError: It cannot be loaded.
        InvalidInputError: The lengths or the compression cannot work, or what shall be adapted or frozen is not there.
    """
    request = setup.request
    spec = request.spec
    layers: LayerRange = spec.layers  # type: ignore[assignment]
    layer_options = requested_layers(setup.settings.layers, layers)
    measured = layers.resolve(layer_options)
    pairs = setup.pairs()
    if setup.has_new_heads:
        # Checked before the weights are read, which takes long.
        answer = answer_ids(setup.tokenizer, spec.template, model=spec.id)[0]
        parts = read_minicpm(request, new_head=answer)
    else:
        parts = (read_gemma2 if layers.compresses else read_minicpm)(request)
    network = LayeredNetwork(parts, dict(request.files.config))
    adapter = setup.adapt(network)
    setup.freeze(network)
    return Layerwise(
        module=LayeredModule(network, layers=layers, measured=measured, final_softcap=parts.final_softcap),
        spec=spec,
        files=request.files,
        pairs=pairs,
        # Behind a text padding is left out of the row, so any id will do.
        padding=PairPadding(pad_id=0, has_types=False, has_segments=True),
        start=setup.start(layer_options),
        adapter=adapter,
        prefixes=setup.prefixes,
        layers=layer_options,
    )


def requested_layers(settings: LayerSettings, layers: LayerRange) -> LayerOptions:
    """Return what inference is asked for: a layer through its own head, and the compression of the training."""
    if not layers.compresses and settings.compress_ratio == 1 and not settings.compress_layers:
        return LayerOptions()
    return LayerOptions(
        compress_ratio=settings.compress_ratio, compress_layers=settings.compress_layers or None, head_by_layer=True
    )
