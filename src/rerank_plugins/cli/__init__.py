"""The command line: ``rerank-plugins models | rank | doctor | demo | evaluate``."""

from __future__ import annotations

from rerank_plugins.cli.application import app, main

__all__ = ["app", "main"]
