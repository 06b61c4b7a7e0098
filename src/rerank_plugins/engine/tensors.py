"""What the executor needs of torch, in a process that has it: a scorer of another runtime gives arrays."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

__all__ = ["ModelRows", "free_cached_memory", "gathered_rows", "is_out_of_memory", "without_gradients"]

ModelRows: TypeAlias = "torch.Tensor | npt.NDArray[np.float32]"
"""What a forward pass gives back. Shape: (inputs, width), float32."""

_OUT_OF_MEMORY = ("DefaultCPUAllocator: ", "MPS backend out of memory", "Failed to allocate memory")
"""In messages of torch on a CPU and on MPS, and of ONNX Runtime, which raise a RuntimeError only."""


def _torch() -> Any:
    """Return torch if something has imported it; a scorer that needs it has."""
    return sys.modules.get("torch")


def without_gradients() -> AbstractContextManager[Any]:
    """Return the context in which torch records nothing for a backward pass."""
    mode = getattr(_torch(), "inference_mode", None)
    return nullcontext() if mode is None else mode()


def gathered_rows(parts: Sequence[ModelRows]) -> npt.NDArray[np.float32]:
    """Return the rows of several batches one after the other, on the host, by one copy."""
    first = parts[0]
    if isinstance(first, np.ndarray):
        return first if len(parts) == 1 else np.concatenate(parts)
    whole = first if len(parts) == 1 else _torch().cat(parts)
    rows: npt.NDArray[np.float32] = whole.to("cpu").numpy()
    return rows


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the device or the machine ran out of memory."""
    of_torch = getattr(_torch(), "OutOfMemoryError", MemoryError)
    return isinstance(error, (of_torch, MemoryError)) or any(words in str(error) for words in _OUT_OF_MEMORY)


def free_cached_memory() -> None:
    """Give memory that torch keeps for later tensors back to the device."""
    cuda = getattr(_torch(), "cuda", None)
    if cuda is not None and cuda.is_available():
        cuda.empty_cache()
