"""What a measured system is: something that opens a checkpoint and scores pairs with raw logits."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from benchmarks.environment import NO_BF16, has_bf16

__all__ = ["CannotLoadError", "OpenRequest", "System", "SystemSpec", "import_peer", "logit", "open_or_reason", "opened"]

Pairs = Sequence[tuple[str, str]]


class CannotLoadError(Exception):
    """A system cannot run here; the text says why and becomes its row."""


class System(Protocol):
    """A loaded system."""

    def score(self, pairs: Pairs) -> list[float]:
        """Return the raw logit of each pair, in order."""
        ...

    def close(self) -> None:
        """Give memory back."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """What every system is opened with.

    Attributes:
        folder: The checkpoint.
        family: Conventions for our own loader; None where the config tells.
        max_length: Tokens of a pair at most, for all systems.
        threads: CPU threads that each system may use.
        device: ``cpu`` or a CUDA device.
        scratch: Folder for exported models.
    """

    folder: Path
    family: str | None
    max_length: int
    threads: int
    device: str
    scratch: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemSpec:
    """A system that can be opened.

    Attributes:
        name: How the results call it.
        dtype: Precision it runs in.
        open: Loads it; any error means that it cannot run here.
    """

    name: str
    dtype: str
    open: Callable[[OpenRequest], System]


def import_peer(module: str, *, install: str) -> Any:
    """Return a peer's module.

    Args:
        module: Its import name.
        install: What installs it, for the message.

    Raises:
        CannotLoadError: It, or something that it imports, is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        msg = f"not installed ({error}); {install}"
        raise CannotLoadError(msg) from error


def opened(spec: SystemSpec, request: OpenRequest) -> System:
    """Return the opened system.

    Raises:
        CannotLoadError: The CPU emulates the precision. That runs, several times as long as float32, and is not
            measured.
    """
    if spec.dtype == "bfloat16" and request.device == "cpu" and not has_bf16():
        raise CannotLoadError(NO_BF16)
    return spec.open(request)


def open_or_reason(spec: SystemSpec, request: OpenRequest) -> System | str:
    """Return the opened system, or why it cannot run here: one line."""
    try:
        return opened(spec, request)
    except CannotLoadError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - peers fail in every way; the result says how, nothing is hidden
        return f"cannot load: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    finally:
        gc.collect()


def logit(probability: float) -> float:
    """Return the inverse of the sigmoid, for peers that only give probabilities."""
    bounded = min(max(probability, 1e-12), 1.0 - 1e-12)
    return math.log(bounded / (1.0 - bounded))
