"""Heads of embedders as their checkpoints say: the pooling, and the modules after it with their weights.

References: sentence-transformers 6.2 ``sentence_transformer/modules/layer_norm.py`` and ``base/modules/dense.py``,
``normalize.py``. The pooling itself is in :mod:`rerank_plugins.nn.pooling`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from rerank_plugins.catalog.module_files import DenseStep
from rerank_plugins.catalog.sentence_modules import CutStep, LayerNormStep, Step
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.nn.pooling import SentenceHead
from rerank_plugins.weights.base import LoadRequest
from rerank_plugins.weights.side_files import read_side_file

__all__ = ["load_head", "load_layer"]


def load_head(request: LoadRequest) -> SentenceHead:
    """Return the head of an embedder's checkpoint, on the device.

    Raises:
        UnsafeModelError: A module's weights are a pickle, and that was not allowed.
        UnsupportedModelError: They are missing or have other shapes than the config says.
    """
    pooling = request.spec.pooling
    layers = [load_layer(step, request) for step in request.files.modules.steps]
    return SentenceHead((pooling,) if isinstance(pooling, str) else pooling, layers)


def load_layer(step: Step, request: LoadRequest) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what a module behind the transformer does, on the device; raises as :func:`load_head`."""
    if isinstance(step, CutStep):
        return lambda vectors: vectors[:, : step.width]
    if isinstance(step, (DenseStep, LayerNormStep)):
        # On the meta device at first: the sizes come from a file and have not been checked against the weights yet.
        with torch.device("meta"):
            module = _Dense(step) if isinstance(step, DenseStep) else _LayerNorm(step)
        return _with_weights(module, step, request)
    return lambda vectors: torch.nn.functional.normalize(vectors, dim=1)


class _LayerNorm(torch.nn.Module):
    """sentence-transformers' LayerNorm, with its names of weights."""

    def __init__(self, step: LayerNormStep) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(step.width)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.norm(vectors)  # type: ignore[no-any-return]


class _Dense(torch.nn.Module):
    """sentence-transformers' Dense, with its names of weights."""

    def __init__(self, step: DenseStep) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(step.n_in, step.n_out, bias=step.has_bias)
        self.activation = getattr(torch.nn, step.activation)()
        self.is_residual = step.is_residual
        if step.is_residual and step.n_in != step.n_out:
            self.residual: torch.nn.Module = torch.nn.Linear(step.n_in, step.n_out, bias=False)
        else:
            self.residual = torch.nn.Identity()

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.activation(self.linear(vectors))
        return made + self.residual(vectors) if self.is_residual else made


def _with_weights(module: torch.nn.Module, step: DenseStep | LayerNormStep, request: LoadRequest) -> torch.nn.Module:
    safe, pickled = step.folder / "model.safetensors", step.folder / "pytorch_model.bin"
    weights = read_side_file(safe, pickled, allow_pickle=request.allow_pickle)
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if found != expected:
        msg = (
            f"the weights in {str(step.folder)!r} are {found}, and the module's config needs {expected}; download the "
            "checkpoint again"
        )
        raise UnsupportedModelError(msg)
    module.load_state_dict(weights, assign=True)
    return module.eval().to(request.device)
