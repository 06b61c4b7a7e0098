"""FlagEmbedding's FlagReranker and FlagLLMReranker with their defaults."""

from __future__ import annotations

from typing import Any

from benchmarks.systems.base import OpenRequest, Pairs, System, SystemSpec, import_peer

__all__ = ["FLAG_LLM_RERANKER", "FLAG_RERANKER", "FlagPeer"]


class FlagPeer:
    """``compute_score`` of a FlagEmbedding class.

    Args:
        request: What to open.
        class_name: Which class.
    """

    def __init__(self, request: OpenRequest, *, class_name: str) -> None:
        module = import_peer("FlagEmbedding", install="pip install FlagEmbedding")
        self._model: Any = getattr(module, class_name)(
            str(request.folder), use_fp16=False, devices=request.device, max_length=request.max_length
        )

    def score(self, pairs: Pairs) -> list[float]:
        """Return the raw logit of each pair, in order."""
        scores = self._model.compute_score([list(pair) for pair in pairs])
        return [float(score) for score in scores]

    def close(self) -> None:
        """Give memory back."""
        self._model = None


def _reranker(request: OpenRequest) -> System:
    return FlagPeer(request, class_name="FlagReranker")


def _llm_reranker(request: OpenRequest) -> System:
    return FlagPeer(request, class_name="FlagLLMReranker")


FLAG_RERANKER = SystemSpec(name="FlagEmbedding FlagReranker (default)", dtype="float32", open=_reranker)
FLAG_LLM_RERANKER = SystemSpec(name="FlagEmbedding FlagLLMReranker (default)", dtype="float32", open=_llm_reranker)
