"""Chooses the device and the precision of a model."""

from __future__ import annotations

import logging
import platform

import torch

from rerank_plugins.errors import DeviceUnavailableError, InvalidInputError

__all__ = [
    "DTYPES",
    "default_budget_tokens",
    "has_native_bfloat16",
    "has_native_float16",
    "resolve_device",
    "resolve_devices",
    "resolve_dtype",
]

logger = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "int8": torch.int8}

_SINGLE = ("cpu", "mps")
_CHECKED = (*_SINGLE, "cuda")


def resolve_device(device: str | None) -> torch.device:
    """Return the device to use.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        InvalidInputError: torch does not know the name.
        DeviceUnavailableError: The device is not on this machine.
    """
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    wanted = _named(device)
    n_cuda = torch.cuda.device_count()
    if wanted.type == "cuda" and (not torch.cuda.is_available() or (wanted.index or 0) >= n_cuda):
        msg = f"device {device!r} is not available: this machine has {n_cuda} CUDA devices. Use device='cpu' or None."
        raise DeviceUnavailableError(msg)
    if wanted.type == "mps" and not torch.backends.mps.is_available():
        msg = "device 'mps' is not available on this machine. Use device='cpu' or None."
        raise DeviceUnavailableError(msg)
    if wanted.type not in _CHECKED:
        _check_runs(wanted, device)
    # "cuda" and "cuda:0" must be one key, or the weights would be loaded twice; so must "cpu" and "cpu:0".
    if wanted.type == "cuda" and wanted.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device(wanted.type) if wanted.type in _SINGLE else wanted


def _named(device: str) -> torch.device:
    try:
        return torch.device(device)
    except (RuntimeError, TypeError) as error:
        msg = f"device must be like 'cpu', 'cuda', 'cuda:1' or 'mps', or None to choose; got {device!r}"
        raise InvalidInputError(msg) from error


def _check_runs(wanted: torch.device, device: str) -> None:
    """Raise for a kind of device that this build of torch does not run, or that holds no numbers (``meta``)."""
    try:
        torch.zeros(1, device=wanted).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        msg = f"device {device!r} is not available: torch computes nothing there on this machine. Use 'cpu' or None."
        raise DeviceUnavailableError(msg) from error


def resolve_devices(device: str | None) -> list[torch.device]:
    """Return the devices that each get a copy of the model.

    Args:
        device: As in :func:`resolve_device`, or several names separated by commas (``cuda:0,cuda:1``), or ``cuda:all``.

    Raises:
        InvalidInputError: torch does not know a name, or the devices are of different kinds.
        DeviceUnavailableError: A device is not on this machine.
    """
    if device is None:
        return [resolve_device(None)]
    if device == "cuda:all":
        resolve_device("cuda")
        return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    names = [name.strip() for name in str(device).split(",")]
    if len({_named(name).type for name in names}) > 1:
        msg = f"copies of a model run on devices of one kind, or scores would differ; got device={device!r}"
        raise InvalidInputError(msg)
    return [resolve_device(name) for name in names]


def resolve_dtype(dtype: str, *, device: torch.device, half: str = "float16") -> torch.dtype:
    """Return the precision of the backbone; heads and pooling always run in float32.

    Args:
        dtype: A name, or ``auto``: ``half`` on CUDA, float32 elsewhere.
        device: Where the model runs.
        half: The model's half precision: float16 for encoders (it rounds about eight times finer than
            bfloat16 at the same speed), bfloat16 for language models, whose states overflow float16.

    Raises:
        InvalidInputError: The name is not known, or it is ``int8`` and the device no CPU.
    """
    if dtype == "auto":
        return DTYPES[half] if device.type == "cuda" else torch.float32
    if dtype not in DTYPES:
        msg = f"dtype must be 'auto', {', '.join(map(repr, DTYPES))}; got {dtype!r}"
        raise InvalidInputError(msg)
    if dtype == "int8" and device.type != "cpu":
        msg = f"dtype='int8' is for CPUs; on {str(device)!r} use 'float16' or 'bfloat16', or pass device='cpu'"
        raise InvalidInputError(msg)
    has_own = {"bfloat16": has_native_bfloat16, "float16": has_native_float16}.get(dtype)
    if has_own is not None and not has_own(device):
        logger.warning("this processor has no %s of its own; float32 is faster here, and more exact", dtype)
    return DTYPES[dtype]


def has_native_bfloat16(device: torch.device) -> bool:
    """Return whether the device has bfloat16 instructions; without them float32 is faster and more exact."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "mps":
        return True
    if platform.machine().lower() in {"arm64", "aarch64"}:
        return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported()) if supported is not None else False


def has_native_float16(device: torch.device) -> bool:
    """Return whether the device has float16 instructions; most CPUs have none, and take several times as long."""
    if device.type != "cpu" or platform.machine().lower() in {"arm64", "aarch64"}:
        return True
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_fp16_supported", None)
    return bool(supported()) if supported is not None else False


def default_budget_tokens(device: torch.device, *, n_parts: int = 1) -> int:
    """Return the token slots of a batch: small on a CPU, whose caches are, large on a GPU.

    On two cores 2,048 was as fast as any of 512 to 8,192 for encoders, and the fastest for prompted rerankers. Where
    the texts of a batch are shared out among threads, 1,536 for each were as fast as 2,048 or more.

    Args:
        device: Where the model runs.
        n_parts: Parts of a batch that run at the same time.
    """
    return max(2_048, 1_536 * n_parts) if device.type == "cpu" else 32_768
