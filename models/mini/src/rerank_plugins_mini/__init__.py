"""Weights of the mini models of rerank-plugins: a small reranker and a small static embedder, both English."""

from __future__ import annotations

from pathlib import Path

__version__ = "0.2.0"
__all__ = ["__version__", "embedder_path", "reranker_path"]

_FOLDER = Path(__file__).resolve().parent


def reranker_path() -> Path:
    """Return the folder of the cross-encoder checkpoint."""
    return _FOLDER / "reranker"


def embedder_path() -> Path:
    """Return the folder of the static embedding checkpoint (model2vec format)."""
    return _FOLDER / "embedder"
