"""The command line: ``rerank-plugins models | rank | score | doctor | demo``."""

from __future__ import annotations

from rerank_plugins.cli.application import app, main

__all__ = ["app", "main"]
