"""One small file per system. All get the same checkpoint, pairs and max_length, and return raw logits."""

from benchmarks.systems.base import CannotLoadError, OpenRequest, System, SystemSpec, open_or_reason

__all__ = ["CannotLoadError", "OpenRequest", "System", "SystemSpec", "open_or_reason"]
