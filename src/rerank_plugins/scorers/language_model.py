"""Finds the checkpoint of a causal language model that nobody listed: a plain one, which ranks nothing by itself."""

from __future__ import annotations

from pathlib import Path

from rerank_plugins.catalog.checkpoint import read_checkpoint
from rerank_plugins.catalog.locate import locate
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.engine.device import resolve_devices, resolve_dtype
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.types import SourceOptions
from rerank_plugins.weights.base import LoadRequest

__all__ = ["language_model_request"]


def language_model_request(
    model: str | Path, *, device: str | None, dtype: str, source: SourceOptions, default_length: int | None = None
) -> LoadRequest:
    """Return what loads a causal language model.

    Args:
        model: Folder or hub id.
        device: Where it runs; None takes the best device.
        dtype: ``auto`` (on CUDA bfloat16, else float32), or a precision.
        source: Where its files come from.
        default_length: Tokens of an input where none is asked for; None takes what the model was made for.

    Raises:
        ModelError: It cannot be found, or its config cannot be read.
        DeviceUnavailableError: The device is not on this machine.
    """
    folder, _ = locate(model, listed=None, kind="reranker", options=source)
    files = read_checkpoint(folder)
    place = resolve_devices(device)[0]
    if dtype == "int8":
        msg = f"dtype='int8' is for BERT-like encoders; {str(model)!r} is a language model. Leave dtype out"
        raise UnsupportedModelError(msg)
    positions = files.max_length_tokens
    spec = ModelSpec(
        id=str(model),
        kind="reranker",
        family="inferred",
        scorer="decoder",
        default_max_length_tokens=positions if default_length is None else min(positions, default_length),
        max_length_tokens=positions,
        license="unknown",
        languages=(),
    )
    return LoadRequest(
        spec=spec,
        files=files,
        device=place,
        dtype=resolve_dtype(dtype, device=place, half="bfloat16"),
        allow_pickle=source.allow_pickle,
        trust_remote_code=source.trust_remote_code,
    )
