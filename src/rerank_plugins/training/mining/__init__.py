"""Hard negatives for queries with known positives, from any first stage, filtered by any reranker."""

from __future__ import annotations

from rerank_plugins.training.mining.mine import mine_negatives
from rerank_plugins.training.mining.results import DroppedText, MiningResult
from rerank_plugins.training.mining.settings import MiningSettings, ScoreFilter

__all__ = ["DroppedText", "MiningResult", "MiningSettings", "ScoreFilter", "mine_negatives"]
