"""A backend of texts that is in use, as a lease holds it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Generic, Protocol, TypeVar

from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.protocols import PrefixSharing
from rerank_plugins.types import EngineStats

__all__ = ["LeasedBackend"]

B = TypeVar("B", bound="_Backend")

_NUMBERS = count()


class _Backend(Protocol):
    @property
    def spec(self) -> ModelSpec: ...

    @property
    def device(self) -> str: ...

    def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class LeasedBackend(Generic[B]):
    """A backend in use, with what a loaded model tells of itself.

    Attributes:
        backend: The backend.
        is_owned: Whether the last object that uses it closes it: not if a caller made it.
        identity: What tells its scores from all others, for caches.
        told: What its users were told once.
    """

    backend: B
    is_owned: bool
    identity: Hashable = field(default_factory=lambda: ("backend", next(_NUMBERS)))
    dtype: str = ""
    runtime: str = ""
    is_padded: bool = False
    padding_reason: str = ""
    told: dict[Hashable, object] = field(default_factory=dict)
    _stats: EngineStats = field(default_factory=EngineStats)

    @property
    def name(self) -> str:
        """The backend's name, for people."""
        return self.backend.spec.id

    @property
    def device(self) -> str:
        """Where it runs, in its own words."""
        return self.backend.device

    @property
    def prefix_sharing(self) -> PrefixSharing:
        """Not known: what a backend computes twice is its own matter."""
        return PrefixSharing(is_used=False, reason="its prompts are not made here")

    def note(self, *, inputs: int, reused: int, forward_s: float, failed: bool) -> None:
        """Count a call. Two threads at the same moment may lose one; nothing depends on these numbers."""
        now = self._stats
        self._stats = replace(
            now,
            calls=now.calls + 1,
            calls_failed=now.calls_failed + failed,
            inputs=now.inputs + inputs,
            inputs_reused=now.inputs_reused + reused,
            forward_s=now.forward_s + forward_s,
        )

    def stats(self) -> EngineStats:
        """Return what has been counted: calls, inputs and seconds."""
        return self._stats

    def close(self) -> None:
        """Close the backend if that is not its maker's to do."""
        if self.is_owned:
            self.backend.close()
