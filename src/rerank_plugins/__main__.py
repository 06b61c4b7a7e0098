"""``python -m rerank_plugins`` is the same as the command ``rerank-plugins``."""

from __future__ import annotations

from rerank_plugins.cli import main

if __name__ == "__main__":
    main()
