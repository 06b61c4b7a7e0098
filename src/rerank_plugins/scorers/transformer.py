"""Embedders: an encoder, then CLS, mean or last-token pooling, in float32.

References: sentence-transformers' Pooling and Dense modules; FlagEmbedding ``BaseEmbedder.pooling``.
Normalising to length 1 belongs to the facade, so that one loaded model serves both settings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers
from safetensors.torch import load_file

from rerank_plugins.catalog.spec import Pooling
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.protocols import Batch
from rerank_plugins.scorers.base import LoadedParts, LoadRequest, padded_tensors
from rerank_plugins.scorers.loading import load_encoder, load_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["TransformerEmbedder", "load", "pool"]

_ACTIVATIONS = {
    "torch.nn.modules.linear.Identity": torch.nn.Identity,
    "torch.nn.modules.activation.Tanh": torch.nn.Tanh,
}


class TransformerEmbedder:
    """An encoder with pooling.

    Args:
        model: A transformers encoder in eval mode, on its device.
        pooling: How token vectors become one vector.
        dense: Layer after pooling (sentence-transformers' Dense), or None.
    """

    is_padded = True

    def __init__(self, model: PreTrainedModel, *, pooling: Pooling, dense: torch.nn.Module | None = None) -> None:
        self._model: PreTrainedModel | None = model
        self._pooling = pooling
        self._dense = dense

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return one vector per text, not normalised. Shape: (inputs, dim), float32."""
        model = self._model
        tensors = padded_tensors(batch, model)  # type: ignore[arg-type]
        hidden = model(**tensors).last_hidden_state  # type: ignore[misc]
        vectors = pool(hidden.float(), tensors["attention_mask"], self._pooling)
        return vectors if self._dense is None else self._dense(vectors)

    def close(self) -> None:
        """Free the weights."""
        self._model = None
        self._dense = None


def pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Return one vector per row.

    Args:
        hidden: Token vectors, right-padded. Shape: (inputs, tokens, dim).
        mask: 1 for real tokens. Shape: (inputs, tokens).
        pooling: ``cls`` takes the first token, ``mean`` averages real tokens, ``last_token`` takes
            the last real one.

    Returns:
        Shape: (inputs, dim).
    """
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last_token":
        last = mask.sum(dim=1) - 1
        return hidden[torch.arange(len(hidden), device=hidden.device), last]
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)


def load(request: LoadRequest) -> LoadedParts:
    """Load an embedder from its checkpoint."""
    model = load_model(request, transformers.AutoModel)
    dense = None
    if "Dense" in request.files.modules:
        dense = _load_dense(request.files.folder / request.files.modules["Dense"]).to(request.device)
    scorer = TransformerEmbedder(model, pooling=request.spec.pooling, dense=dense)
    return LoadedParts(encoder=load_encoder(request), scorer=scorer)


def _load_dense(folder: Path) -> torch.nn.Module:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    activation = _ACTIVATIONS.get(config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    weights = folder / "model.safetensors"
    if activation is None or not weights.is_file():
        msg = f"{str(folder)!r}: the Dense module needs model.safetensors and one of {sorted(_ACTIVATIONS)}"
        raise UnsupportedModelError(msg)
    linear = torch.nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
    linear.load_state_dict({key.removeprefix("linear."): value for key, value in load_file(str(weights)).items()})
    return torch.nn.Sequential(linear.float(), activation()).eval()
