"""Token vectors kept on disk, so that documents that come again are compared without running a model on them."""

from __future__ import annotations

from rerank_plugins.embedding.kept.store import TokenVectorStore

__all__ = ["TokenVectorStore"]
