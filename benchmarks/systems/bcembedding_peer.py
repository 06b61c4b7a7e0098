"""BCEmbedding's ``RerankerModel.compute_score``, with its default batch of 256."""

from __future__ import annotations

import logging
from typing import Any

from benchmarks.systems.base import OpenRequest, Pairs, System, SystemSpec, import_peer, logit

__all__ = ["BCE", "BCEmbeddingPeer"]


class BCEmbeddingPeer:
    """``compute_score``, its probabilities turned back into logits.

    Args:
        request: What to open.
    """

    def __init__(self, request: OpenRequest) -> None:
        module = import_peer("BCEmbedding", install="pip install --no-deps BCEmbedding")
        logging.getLogger("BCEmbedding.models.RerankerModel").setLevel(logging.WARNING)
        self._model: Any = module.RerankerModel(
            model_name_or_path=str(request.folder), use_fp16=False, device=request.device
        )
        self._max_length = request.max_length

    def score(self, pairs: Pairs) -> list[float]:
        """Return the raw logit of each pair, in order."""
        found = self._model.compute_score(
            [list(pair) for pair in pairs], max_length=self._max_length, enable_tqdm=False
        )
        return [logit(float(one)) for one in (found if isinstance(found, list) else [found])]

    def close(self) -> None:
        """Give memory back."""
        self._model = None


def _open(request: OpenRequest) -> System:
    return BCEmbeddingPeer(request)


BCE = SystemSpec(name="BCEmbedding compute_score (default)", dtype="float32", open=_open)
