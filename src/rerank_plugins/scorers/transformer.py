"""Embedders: an encoder, then CLS, mean or last-token pooling, in float32.

References: sentence-transformers' Pooling and Dense modules; FlagEmbedding ``BaseEmbedder.pooling``.
Normalising to length 1 belongs to the facade, so that one loaded model serves both settings.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

from rerank_plugins.catalog.spec import Pooling
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.protocols import Batch
from rerank_plugins.scorers.backbone import Backbone, TokenStates
from rerank_plugins.scorers.base import LoadedParts, LoadRequest
from rerank_plugins.scorers.bert_encoder import Reads
from rerank_plugins.scorers.loading import load_encoder, load_model

__all__ = ["TransformerEmbedder", "load", "pool"]

_ACTIVATIONS = {
    "torch.nn.modules.linear.Identity": torch.nn.Identity,
    "torch.nn.modules.activation.Tanh": torch.nn.Tanh,
}

_READS: dict[Pooling, Reads] = {"cls": "first", "mean": "all", "last_token": "last"}


class TransformerEmbedder:
    """An encoder with pooling.

    Args:
        backbone: The encoder.
        pooling: How token states become one vector.
        dense: Layer after pooling (sentence-transformers' Dense), or None.
    """

    def __init__(self, backbone: Backbone, *, pooling: Pooling, dense: torch.nn.Module | None = None) -> None:
        self._backbone: Backbone | None = backbone
        self._pooling = pooling
        self._dense = dense
        self.is_padded = backbone.is_padded

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return one vector per text, not normalised. Shape: (inputs, dim), float32."""
        vectors = pool(self._backbone(batch, reads=_READS[self._pooling]), self._pooling)  # type: ignore[misc]
        return vectors if self._dense is None else self._dense(vectors)

    def close(self) -> None:
        """Free the weights."""
        self._backbone = None
        self._dense = None


def pool(states: TokenStates, pooling: Pooling) -> torch.Tensor:
    """Return one vector per input: its first token's, the mean of all its tokens', or its last one's.

    Returns:
        Shape: (inputs, hidden), float32.
    """
    if pooling == "cls":
        return states.first()
    return states.last() if pooling == "last_token" else states.mean()


def load(request: LoadRequest) -> LoadedParts:
    """Load an embedder from its checkpoint."""
    model = load_model(request, transformers.AutoModel)
    dense = None
    if "Dense" in request.files.modules:
        dense = _load_dense(request.files.folder / request.files.modules["Dense"]).to(request.device)
    scorer = TransformerEmbedder(Backbone(model), pooling=request.spec.pooling, dense=dense)
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
