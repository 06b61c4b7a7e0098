"""Opening a model: resolve its name, find or load its weights, share them.

Used by both facades; the registry's key holds everything that decides what is in memory and nothing
else, so that two facades with different ``max_length`` or ``task`` share one set of weights.
"""

from __future__ import annotations

from dataclasses import dataclass

from rerank_plugins.catalog.resolve import ResolvedModel, SourceOptions
from rerank_plugins.engine.batcher import MicroBatcher
from rerank_plugins.engine.device import default_budget_tokens, resolve_device, resolve_dtype
from rerank_plugins.engine.executor import TokenBudget
from rerank_plugins.engine.registry import MODELS, Lease
from rerank_plugins.scorers import scorer_loader
from rerank_plugins.scorers.base import LoadedParts, LoadRequest
from rerank_plugins.text.tokenizer import TextEncoder

__all__ = ["LoadedModel", "open_model", "run_loaded"]


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """Weights in memory, their tokenizer, and the worker that runs them.

    Attributes:
        encoder: The tokenizer.
        batcher: Runs the scorer; closing it frees the weights.
        device: Where the model runs, in torch's words.
        dtype: Precision of the backbone.
        special_tokens: Whether texts are wrapped in special tokens.
    """

    encoder: TextEncoder
    batcher: MicroBatcher
    device: str
    dtype: str
    special_tokens: bool = True

    def close(self) -> None:
        """Free the weights; calls that wait get EngineClosedError."""
        self.batcher.close()


def open_model(
    resolved: ResolvedModel, *, device: str | None, dtype: str, options: SourceOptions
) -> Lease[LoadedModel]:
    """Return a share in a model, loading it if nobody in this process has.

    Args:
        resolved: What to load.
        device: Where; None chooses.
        dtype: Precision name, or ``auto``.
        options: What the files may contain.

    Raises:
        DeviceUnavailableError: The device is not on this machine.
        ModelError: The checkpoint cannot be loaded.
    """
    place = resolve_device(device)
    precision = resolve_dtype(dtype, device=place, half=resolved.spec.half_precision)
    request = LoadRequest(
        spec=resolved.spec,
        files=resolved.files,
        device=place,
        dtype=precision,
        allow_pickle=options.allow_pickle,
        trust_remote_code=options.trust_remote_code,
    )
    key = (
        resolved.spec.kind,
        resolved.spec.scorer,
        resolved.spec.pooling,
        resolved.source,
        resolved.files.fingerprint,
        str(place),
        str(precision),
        options.allow_pickle,
        options.trust_remote_code,
    )
    return MODELS.acquire(key, lambda: _load(request))


def run_loaded(parts: LoadedParts, *, device: str, dtype: str, name: str) -> LoadedModel:
    """Return parts that are already in memory with a worker that runs them."""
    import torch

    budget = TokenBudget(default_budget_tokens(torch.device(device)))
    batcher = MicroBatcher(parts.scorer, budget=budget, name=name)
    return LoadedModel(parts.encoder, batcher, device, dtype, special_tokens=parts.special_tokens)


def _load(request: LoadRequest) -> LoadedModel:
    parts = scorer_loader(request.spec.scorer)(request)
    dtype = str(request.dtype).removeprefix("torch.")
    return run_loaded(parts, device=str(request.device), dtype=dtype, name=request.spec.id)
