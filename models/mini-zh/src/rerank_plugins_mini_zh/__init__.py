"""Weights of mini-zh for rerank-plugins: a Chinese and English embedder, and a reranker that was trained from it."""

from __future__ import annotations

from pathlib import Path

__version__ = "0.1.0"
__all__ = ["__version__", "embedder_path", "reranker_path"]

_FOLDER = Path(__file__).resolve().parent


def embedder_path() -> Path:
    """Return the folder of the embedder."""
    return _FOLDER / "embedder"


def reranker_path() -> Path:
    """Return the folder of the cross-encoder, which builds on the embedder's weights."""
    return _FOLDER / "reranker"
