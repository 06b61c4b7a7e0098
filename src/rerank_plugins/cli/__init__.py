"""The command line, ``rerank-plugins``.

Its commands: ``models | rank | score | serve | doctor | demo | evaluate | report | calibrate | data | train``.
"""

from __future__ import annotations

from rerank_plugins.cli.application import app, main

__all__ = ["app", "main"]
