"""Opening a model: resolve its name, find or load its weights, share them.

Used by both facades; the registry's key holds everything that decides what is in memory and nothing
else, so that two facades with different ``max_length`` or ``task`` share one set of weights.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence

import torch

from rerank_plugins.backends.loaded import LoadedModel
from rerank_plugins.catalog.lora_files import read_lora_files
from rerank_plugins.catalog.resolve import ResolvedModel
from rerank_plugins.catalog.scorer_traits import STATIC
from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.engine.batcher import MicroBatcher
from rerank_plugins.engine.budget import TokenBudget
from rerank_plugins.engine.device import default_budget_tokens, resolve_devices, resolve_dtype
from rerank_plugins.engine.registry import MODELS, Lease
from rerank_plugins.engine.side_by_side import most_parts
from rerank_plugins.protocols import Compilable, Scorer
from rerank_plugins.scorers import scorer_loader
from rerank_plugins.scorers.int8 import refuse_int8
from rerank_plugins.types import SourceOptions
from rerank_plugins.weights.base import LoadedParts, LoadRequest

__all__ = ["open_model", "run_loaded"]

logger = logging.getLogger(__name__)


def open_model(
    resolved: ResolvedModel,
    *,
    device: str | None,
    dtype: str,
    options: SourceOptions,
    torch_compile: bool = False,
) -> Lease[LoadedModel]:
    """Return a share in a model, loading it if nobody in this process has.

    Args:
        resolved: What to load.
        device: Where; None chooses.
        dtype: Precision name, or ``auto``.
        options: What the files may contain, and the LoRA adapter to merge: other weights than without it, or with
            another one.
        torch_compile: Whether to compile what can be compiled; compiled weights are not shared with others.

    Raises:
        DeviceUnavailableError: The device is not on this machine.
        ModelError: The checkpoint cannot be loaded or compiled.
    """
    lora = None
    if options.peft_path is not None:
        lora = read_lora_files(options.peft_path, local_files_only=options.local_files_only)
    # A table of vectors is read in float32, on the CPU: nothing of it is a product that another precision would serve.
    is_table = resolved.spec.scorer == STATIC
    places = resolve_devices("cpu" if is_table and device is None else device)
    half = "float32" if is_table else resolved.spec.half_precision
    precision = resolve_dtype(dtype, device=places[0], half=half)
    if is_table and precision.itemsize == 2:
        logger.warning("dtype=%r changes nothing for %s, a table of vectors in float32", dtype, resolved.spec.id)
        precision = torch.float32
    is_int8, template = precision == torch.int8, resolved.spec.template
    if is_int8:
        refuse_int8(resolved.spec, resolved.files)
    requests = [
        LoadRequest(
            spec=resolved.spec,
            files=resolved.files,
            device=place,
            dtype=torch.float32 if is_int8 else precision,
            int8=is_int8,
            allow_pickle=options.allow_pickle,
            trust_remote_code=options.trust_remote_code,
            lora=lora,
        )
        for place in places
    ]
    key = (
        resolved.spec.kind,
        resolved.spec.scorer,
        resolved.spec.pooling,
        # A family's answers choose the rows of the output matrix that are kept as the head.
        None if template is None else (template.answer, template.rejection, template.answers_are),
        resolved.source,
        resolved.files.fingerprint,
        tuple(map(str, places)),
        str(precision),
        options.allow_pickle,
        options.trust_remote_code,
        None if lora is None else lora.key,
        torch_compile,
    )
    return MODELS.acquire(key, lambda: _load(requests, key, torch_compile=torch_compile))


def run_loaded(parts: Sequence[LoadedParts], *, device: str, dtype: str, name: str, identity: Hashable) -> LoadedModel:
    """Return parts that are already in memory with the workers that run them.

    Args:
        parts: The model, once for each device.
        device: Where they run, in the same order, separated by commas.
        dtype: Precision of the backbone.
        name: Shown in messages.
        identity: What tells these weights from all others, for caches.
    """
    first_device = torch.device(device.split(",", 1)[0])
    budget_tokens = default_budget_tokens(first_device, n_parts=most_parts(parts[0].scorer))
    batcher = MicroBatcher(
        [part.scorer for part in parts],
        budget=TokenBudget(budget_tokens),
        name=name,
        survives_fork=first_device.type == "cpu",
    )
    return LoadedModel.of(parts[0], batcher, device=device, dtype=dtype, name=name, identity=identity)


@checkpoint_errors("load the model")
def _load(requests: Sequence[LoadRequest], identity: Hashable, *, torch_compile: bool) -> LoadedModel:
    load = scorer_loader(requests[0].spec.scorer)
    parts = [load(request) for request in requests]
    if torch_compile:
        for part in parts:
            _compile(part.scorer, name=requests[0].spec.id)
    # A model that does not keep its states in 8 bits was left in float32.
    dtype = "int8" if parts[0].runs_int8 else str(requests[0].dtype).removeprefix("torch.")
    device = ",".join(str(request.device) for request in requests)
    return run_loaded(parts, device=device, dtype=dtype, name=requests[0].spec.id, identity=identity)


def _compile(scorer: Scorer, *, name: str) -> None:
    why_not = scorer.compile() if isinstance(scorer, Compilable) else "its scorer runs no blocks of transformers"
    if why_not:
        logger.info("torch_compile changes nothing for %r here: %s", name, why_not)
