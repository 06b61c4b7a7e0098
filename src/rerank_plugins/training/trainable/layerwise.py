"""Language models with a head on each of their upper layers: layerwise (MiniCPM) and lightweight (Gemma 2) ones.

They train on the decoder in plain torch that inference runs (:mod:`rerank_plugins.nn.layered_decoder`), with any
supported transformers and without the checkpoint's own code; a lightweight one also through its compression.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from rerank_plugins.catalog.layers import LayerRange
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.scorers.layered import LayeredParts, read_gemma2, read_minicpm
from rerank_plugins.training.batches import PairPadding
from rerank_plugins.training.settings import LayerSettings
from rerank_plugins.training.trainable.base import TrainableReranker, name_origin
from rerank_plugins.training.trainable.beginning import Beginning
from rerank_plugins.training.trainable.module import TrainedModule
from rerank_plugins.types import LayerOptions

__all__ = ["LayeredModule", "Layerwise", "open_layerwise"]


class LayeredNetwork(nn.Module):
    """A decoder and its heads by the names of the published checkpoints, so that adapters made elsewhere fit.

    Args:
        parts: What was read.
        config: The checkpoint's ``config.json``.
    """

    def __init__(self, parts: LayeredParts, config: dict[str, Any]) -> None:
        super().__init__()
        self.model = parts.decoder
        self.lm_head: Any = nn.ModuleList(LayerHead(row) for row in parts.heads.values())
        self.config = config

    def get_input_embeddings(self) -> nn.Module:
        """Return the word embeddings, by transformers' name for that."""
        return self.model.embed_tokens

    def gradient_checkpointing_enable(self, _gradient_checkpointing_kwargs: Any = None) -> None:
        """Compute the blocks twice in a backward pass."""
        self.model.recomputes = True


class LayerHead(nn.Module):
    """A head: one row.

    Args:
        row: Shape: (1, hidden).
    """

    def __init__(self, row: Tensor) -> None:
        super().__init__()
        self.linear_head = nn.Linear(row.shape[1], 1, bias=False)
        self.linear_head.weight = nn.Parameter(row.clone())


class LayeredModule(TrainedModule):
    """All heads at once in training mode, and in evaluation mode the one that inference takes.

    Args:
        network: The decoder and its heads.
        layers: The layers with heads.
        measured: What inference asks for; complete.
        final_softcap: Bound of scores; None for none.
    """

    network: LayeredNetwork

    def __init__(
        self, network: LayeredNetwork, *, layers: LayerRange, measured: LayerOptions, final_softcap: float | None
    ) -> None:
        super().__init__(network)
        self._first = layers.first
        self._all = replace(measured, cutoff_layers=tuple(range(layers.first, layers.last + 1)))
        self._measured, self._final_softcap = measured, final_softcap

    def forward(self, input_ids: Tensor, attention_mask: Tensor, segments: Tensor) -> dict[str, Tensor]:
        """Return the scores of pairs that are padded on the right, as ``logits``, the lowest layer first.

        Args:
            input_ids: Shape: (pairs, longest), int64.
            attention_mask: 1 for tokens, 0 for padding. Shape: (pairs, longest).
            segments: Where query and document lie, of which the document is what may be compressed. Shape: (pairs, 4).

        Returns:
            Shape of ``logits``: (pairs, layers), float32; (pairs, 1) in evaluation mode.
        """
        lengths, documents = attention_mask.sum(dim=1).tolist(), segments[:, 2:].tolist()
        row = PackedRow(lengths, input_ids.device, documents=[(start, end) for start, end in documents])
        options = self._all if self.training else self._measured
        states = self.network.model(input_ids[attention_mask.bool()], row, options)
        heads = [self.network.lm_head[layer - self._first].linear_head for layer in options.cutoff_layers or ()]
        with torch.autocast(device_type=states.device.type, enabled=False):
            scores = torch.cat([head(state) for head, state in zip(heads, states, strict=True)], dim=1)
            if self._final_softcap is not None:
                scores = self._final_softcap * torch.tanh(scores / self._final_softcap)
        return {"logits": scores}


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


def open_layerwise(begin: Beginning) -> Layerwise:
    """Load a model with heads for training.

    Raises:
        ModelError: It cannot be loaded.
        InvalidInputError: The lengths or the compression cannot work, or what shall be adapted or frozen is not there.
    """
    request = begin.request
    spec = request.spec
    layers: LayerRange = spec.layers  # type: ignore[assignment]
    asked = _asked(begin.settings.layers, layers)
    measured = layers.settle(asked)
    pairs = begin.pairs()
    parts = (read_gemma2 if layers.compresses else read_minicpm)(request)
    network = LayeredNetwork(parts, dict(request.files.config))
    adapter = begin.adapt(network)
    begin.freeze(network)
    return Layerwise(
        module=LayeredModule(network, layers=layers, measured=measured, final_softcap=parts.final_softcap),
        spec=spec,
        files=request.files,
        pairs=pairs,
        # Behind a text padding is left out of the row, so any id will do.
        padding=PairPadding(pad_id=0, has_types=False, has_segments=True),
        start=begin.start(asked),
        adapter=adapter,
        layers=asked,
    )


def _asked(settings: LayerSettings, layers: LayerRange) -> LayerOptions:
    """Return what inference is asked for: a layer through its own head, and the compression of the training."""
    if not layers.compresses and settings.compress_ratio == 1 and not settings.compress_layers:
        return LayerOptions()
    return LayerOptions(
        compress_ratio=settings.compress_ratio, compress_layers=settings.compress_layers or None, head_by_layer=True
    )
