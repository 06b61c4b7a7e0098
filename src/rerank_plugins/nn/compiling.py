"""torch.compile for the parts of a model that work token by token: feed-forward parts and norms.

They are the same code in every block and do not depend on where texts begin, so each is compiled once, for any
number of tokens. Attention stays as it is: its kernels are fused already, and a graph would hold one batch's lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from rerank_plugins.errors import UnsupportedModelError

__all__ = ["compile_regions", "compiled", "compiler_errors"]

_REGIONS = ("MLP", "RMSNorm")
"""How transformers ends the names of these classes (``Qwen3MLP``, ``GemmaRMSNorm``); they have no class in common."""


def compiled(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Return a function that is compiled at its first call, once for all numbers of tokens."""
    return torch.compile(function, dynamic=True)


def compile_regions(model: torch.nn.Module) -> int:
    """Let the token-wise parts of a transformers model be compiled at their first call.

    Returns:
        How many there are.
    """
    regions = [module for module in model.modules() if type(module).__name__.endswith(_REGIONS)]
    for region in regions:
        region.compile(dynamic=True)
    return len(regions)


@contextmanager
def compiler_errors() -> Iterator[None]:
    """Turn errors of the compiler into one that says what to do.

    Raises:
        UnsupportedModelError: It could not compile; most often no C++ compiler is there.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        msg = (
            f"torch.compile failed: {said}. It needs a C++ compiler (g++ or clang++, or the one that the variable CXX "
            "names) and, on CUDA, triton. Install them, or leave torch_compile out: only speed depends on it."
        )
        raise UnsupportedModelError(msg) from error
