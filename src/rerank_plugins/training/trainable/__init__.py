"""Rerankers as they are trained: one file for each kind, and what all kinds have in common."""

from __future__ import annotations

from rerank_plugins.training.trainable.base import Opening, TrainableReranker
from rerank_plugins.training.trainable.layout import pair_settings, with_own_instructions
from rerank_plugins.training.trainable.opening import open_trainable, resolve_trainable

__all__ = [
    "Opening",
    "TrainableReranker",
    "open_trainable",
    "pair_settings",
    "resolve_trainable",
    "with_own_instructions",
]
