"""For the tests of adapters and of programs that use this package."""

from rerank_plugins.testing.standstill import standstill

__all__ = ["standstill"]
