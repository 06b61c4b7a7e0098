"""Weights of mini-zh for rerank-plugins: multilingual-e5-small in 4 bits, cut to Chinese and English."""

from __future__ import annotations

from pathlib import Path

__version__ = "0.1.0"
__all__ = ["__version__", "embedder_path"]


def embedder_path() -> Path:
    """Return the folder of the embedder."""
    return Path(__file__).resolve().parent / "embedder"
