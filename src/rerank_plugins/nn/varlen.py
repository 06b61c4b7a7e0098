"""Variable-length (varlen) attention on CUDA in one kernel: torch's own, or flash-attn if it is installed.

Both are flash attention 2 and take half precision only. Neither runs on a CPU, so nothing here but the choice of
arguments can be tested without a GPU; the trial that every packed model makes when it is loaded compares the kernel
with plain attention on the device itself.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, Protocol

import torch

__all__ = ["VarlenKernel", "flash_attn_kernel", "torch_kernel", "varlen_kernel"]

logger = logging.getLogger(__name__)

_Function = Callable[..., Any]
_NO_WINDOW = -1


class VarlenKernel(Protocol):
    """Attention of queries to the keys of their own text."""

    def __call__(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        query_offsets: torch.Tensor,
        key_offsets: torch.Tensor,
        longest: tuple[int, int],
        scale: float,
        reach: tuple[int, int],
    ) -> torch.Tensor:
        """Return the attended values.

        Args:
            query: Shape: (queries, heads, head_dim).
            key: Shape: (tokens, key heads, head_dim).
            value: As ``key``.
            query_offsets: 0 and the position behind each text's queries. Shape: (texts + 1,), int32.
            key_offsets: The same for keys.
            longest: Queries and keys of the longest text.
            scale: Factor of the dot products.
            reach: Positions seen to the left and to the right; -1 for all.

        Returns:
            Shape: (queries, heads, head_dim).
        """
        ...


@cache
def varlen_kernel() -> VarlenKernel | None:
    """Return the kernel of this installation, or None if there is none."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        logger.debug("torch %s has no variable-length attention", torch.__version__)
    else:
        kernel = torch_kernel(varlen_attn, pin=_flash_only)
        if kernel is not None:
            return kernel
    try:
        from flash_attn import flash_attn_varlen_func
    except ImportError:
        return None
    return flash_attn_kernel(flash_attn_varlen_func)


def torch_kernel(
    function: _Function, *, pin: Callable[[], AbstractContextManager[object]] = nullcontext
) -> VarlenKernel | None:
    """Return ``torch.nn.attention.varlen.varlen_attn`` as a kernel, or None if it takes no windows (torch 2.10, 2.11).

    Args:
        function: The function, as torch 2.12 and newer have it.
        pin: Context in which it runs.
    """
    parameters = inspect.signature(function).parameters
    if "window_size" not in parameters or "scale" not in parameters:
        return None
    # One split per text, so that its scores do not depend on the rest of the batch.
    fixed = {"num_splits": 1} if "num_splits" in parameters else {}

    def run(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        query_offsets: torch.Tensor,
        key_offsets: torch.Tensor,
        longest: tuple[int, int],
        scale: float,
        reach: tuple[int, int],
    ) -> torch.Tensor:
        options = {**fixed, "scale": scale, "window_size": reach, "enable_gqa": key.shape[1] != query.shape[1]}
        with pin():
            attended: torch.Tensor = function(query, key, value, query_offsets, key_offsets, *longest, **options)
        return attended

    return run


def flash_attn_kernel(function: _Function) -> VarlenKernel:
    """Return ``flash_attn.flash_attn_varlen_func`` (flash-attn 2) as a kernel; it groups key heads by itself."""

    def run(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        query_offsets: torch.Tensor,
        key_offsets: torch.Tensor,
        longest: tuple[int, int],
        scale: float,
        reach: tuple[int, int],
    ) -> torch.Tensor:
        options = {"softmax_scale": scale, "causal": False, "window_size": reach}
        attended: torch.Tensor = function(query, key, value, query_offsets, key_offsets, *longest, **options)
        return attended

    return run


def _flash_only() -> AbstractContextManager[object]:
    """Ask for the flash kernel by name: torch 2.14 prefers cuDNN's, which builds a plan for each new shape."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(SDPBackend.FLASH_ATTENTION)
