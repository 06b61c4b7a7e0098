"""sentence-transformers' CrossEncoder, with its default batch size and with the best one."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from benchmarks.systems.base import OpenRequest, Pairs, System, SystemSpec, import_peer

__all__ = ["CROSS_ENCODER", "CROSS_ENCODER_BATCHES", "CROSS_ENCODER_FP16", "CrossEncoderPeer"]

_DEFAULT_BATCH = 32
_OTHER_BATCHES = (8, 16, 64)


class CrossEncoderPeer:
    """``CrossEncoder.predict`` without the sigmoid.

    Args:
        request: What to open.
        batch_size: Pairs of a batch.
        dtype: Precision of the whole model.
    """

    def __init__(self, request: OpenRequest, *, batch_size: int, dtype: torch.dtype = torch.float32) -> None:
        module = import_peer("sentence_transformers", install="pip install sentence-transformers")
        self._model: Any = module.CrossEncoder(
            str(request.folder), device=request.device, max_length=request.max_length, local_files_only=True
        )
        self._model.model.to(dtype)
        self._batch_size = batch_size

    def score(self, pairs: Pairs) -> list[float]:
        """Return the raw logit of each pair, in order."""
        scores = self._model.predict(
            list(pairs), batch_size=self._batch_size, activation_fn=torch.nn.Identity(), show_progress_bar=False
        )
        return [float(score) for score in scores]

    def close(self) -> None:
        """Give memory back."""
        self._model = None


def _open(request: OpenRequest, *, batch_size: int = _DEFAULT_BATCH, dtype: torch.dtype = torch.float32) -> System:
    return CrossEncoderPeer(request, batch_size=batch_size, dtype=dtype)


CROSS_ENCODER = SystemSpec(name="sentence-transformers, batch 32 (default)", dtype="float32", open=_open)
CROSS_ENCODER_BATCHES = tuple(
    SystemSpec(name=f"sentence-transformers, batch {size}", dtype="float32", open=partial(_open, batch_size=size))
    for size in _OTHER_BATCHES
)
CROSS_ENCODER_FP16 = SystemSpec(
    name="sentence-transformers, batch 32 (default)", dtype="float16", open=partial(_open, dtype=torch.float16)
)
