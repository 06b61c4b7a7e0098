"""What runs checkpoints on this machine: torch, or ONNX Runtime where that is asked for or torch is missing."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from rerank_plugins.backends.loaded import LoadedModel
from rerank_plugins.catalog.json_files import read_object
from rerank_plugins.catalog.names import existing_folder
from rerank_plugins.catalog.resolve import ResolvedModel
from rerank_plugins.catalog.scorer_traits import STATIC
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.catalog.table import find_by_id
from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.checks.optional import needs_torch
from rerank_plugins.engine.batcher import MicroBatcher
from rerank_plugins.engine.budget import TokenBudget
from rerank_plugins.engine.registry import MODELS, Lease
from rerank_plugins.errors import DeviceUnavailableError, InvalidInputError, MissingExtraError
from rerank_plugins.types import SourceOptions
from rerank_plugins.weights.base import CheckpointRequest

__all__ = ["Runtime", "chosen_runtime", "open_checkpoint"]

Runtime = Literal["torch", "onnx"]

_OF_TORCH = ("torch", "transformers")
_DTYPES = ("auto", "float32", "float16", "bfloat16", "int8")
"""Those of :data:`rerank_plugins.engine.device.DTYPES`, which needs torch."""
_TABLE = "model2vec"
_BATCH_TOKENS = 1_024
"""Token slots of a batch: 512 and 1,024 took a tenth less time than 2,048 (MiniLM-L6, one core)."""


def chosen_runtime(requested: object, model: str | Path, *, kind: ModelKind) -> Runtime:
    """Return what runs a checkpoint, before anything of it is fetched.

    Args:
        requested: A caller's ``backend``: a name, or None for torch where it is installed and ONNX Runtime elsewhere.
        model: What the caller called the checkpoint.
        kind: What it is needed for.

    Raises:
        InvalidInputError: Nothing of that name runs checkpoints.
        MissingExtraError: Nothing that runs checkpoints is installed.
        UnsupportedModelError: A folder's ``config.json`` cannot be read.
    """
    if requested is not None:
        if requested not in get_args(Runtime):
            msg = f"backend must be 'torch', 'onnx', an object that scores, or None to choose; got {requested!r}"
            raise InvalidInputError(msg)
        return "onnx" if requested == "onnx" else "torch"
    if all(map(_is_installed, _OF_TORCH)):
        return "torch"
    if _is_installed("onnxruntime") or _is_table(model, kind=kind):
        return "onnx"
    msg = (
        f"{str(model)!r} runs on this machine, and nothing that could run it is installed: pip install "
        '"rerank-plugins[torch]", or "rerank-plugins[onnx]" for BERT-like models without torch'
    )
    raise MissingExtraError(msg)


def open_checkpoint(
    resolved: ResolvedModel,
    runtime: Runtime,
    *,
    device: str | None,
    dtype: str,
    options: SourceOptions,
    torch_compile: bool = False,
) -> Lease[LoadedModel]:
    """Return a share in a model, loading it if nobody in this process has.

    Args:
        resolved: What to load.
        runtime: What runs it.
        device: Where; None chooses.
        dtype: Precision name, or ``auto``.
        options: What the files may contain, and the LoRA adapter to merge.
        torch_compile: Whether to compile what can be compiled.

    Raises:
        DeviceUnavailableError: The device is not on this machine, or not one of this runtime's.
        InvalidInputError: An option is torch's alone.
        MissingExtraError: The runtime is not installed.
        ModelError: The checkpoint cannot be loaded.
    """
    if runtime == "torch":
        with needs_torch():
            from rerank_plugins.backends.opening import open_model
        return open_model(resolved, device=device, dtype=dtype, options=options, torch_compile=torch_compile)
    _check_options(device, dtype, options, torch_compile=torch_compile)
    request = CheckpointRequest(spec=resolved.spec, files=resolved.files, allow_pickle=options.allow_pickle)
    spec = resolved.spec
    # The runtime is part of the key: scores of torch and of ONNX Runtime differ in the last digits, and no cache of
    # scores or vectors is to mix them.
    precision = "int8" if dtype == "int8" else "float32"
    pooling = spec.pooling, spec.pools_instruction
    key = (runtime, spec.kind, spec.scorer, pooling, resolved.source, resolved.files.fingerprint, precision)
    return MODELS.acquire(key, lambda: _load(request, key, dtype=precision))


@checkpoint_errors("load the model")
def _load(request: CheckpointRequest, identity: Hashable, *, dtype: str) -> LoadedModel:
    from rerank_plugins.scorers.onnx_runtime import load

    parts = load(request, is_int8=dtype == "int8")
    name, dtype = request.spec.id, "int8" if parts.runs_int8 else "float32"
    batcher = MicroBatcher([parts.scorer], budget=TokenBudget(_BATCH_TOKENS), name=name)
    made = LoadedModel.of(parts, batcher, device="cpu", dtype=dtype, name=name, identity=identity)
    return replace(made, runtime="onnx")


def _check_options(device: str | None, dtype: str, options: SourceOptions, *, torch_compile: bool) -> None:
    """Raise for an option that only torch has."""
    if dtype not in _DTYPES:
        msg = f"dtype must be {', '.join(map(repr, _DTYPES))}; got {dtype!r}"
        raise InvalidInputError(msg)
    way_out = 'use torch for that: pip install "rerank-plugins[torch]", and backend="torch"'
    if device not in (None, "cpu"):
        msg = f"device={device!r}: in ONNX Runtime models run on the CPU here; leave it out, or {way_out}"
        raise DeviceUnavailableError(msg)
    refused = [
        option
        for option, is_set in (
            (f"dtype={dtype!r}", dtype not in ("auto", "float32", "int8")),
            (f"peft_path={str(options.peft_path)!r}", options.peft_path is not None),
            ("trust_remote_code=True", options.trust_remote_code),
            ("torch_compile=True", torch_compile),
        )
        if is_set
    ]
    if refused:
        msg = f"{', '.join(refused)}: ONNX Runtime runs the weights of a checkpoint as they are; {way_out}"
        raise InvalidInputError(msg)


def _is_table(model: str | Path, *, kind: ModelKind) -> bool:
    """Return whether a model is a table of vectors, which needs neither runtime."""
    listed = find_by_id(str(model), kind=kind)
    if listed is not None:
        return listed.scorer == STATIC
    folder = existing_folder(model) if kind == "embedder" else None
    return folder is not None and read_object(folder / "config.json").get("model_type") == _TABLE


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ModuleNotFoundError, ValueError):
        return False
