"""The import helper, under the name that it had before retrieval needed it too."""

from __future__ import annotations

from rerank_plugins.optional import import_extra

__all__ = ["import_extra"]
