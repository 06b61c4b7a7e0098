"""``rerank-plugins train``: fine-tune a model, or see what that would take."""

from __future__ import annotations

from rerank_plugins.cli.training.commands import train

__all__ = ["train"]
