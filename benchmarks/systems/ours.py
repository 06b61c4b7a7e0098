"""This project, through its public API. Both caches are off unless the row says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import transformers

from benchmarks.systems.base import CannotLoadError, OpenRequest, Pairs, System, SystemSpec
from rerank_plugins import Reranker
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.protocols import Batch, TokenInput
from rerank_plugins.scorers import scorer_loader
from rerank_plugins.scorers.base import LoadRequest

__all__ = ["CACHED", "OURS", "OURS_BF16", "OURS_FP16", "Ours", "bare_forward", "open_reranker"]


class Ours:
    """A :class:`rerank_plugins.Reranker`.

    Args:
        reranker: Closed with this object.
    """

    def __init__(self, reranker: Reranker) -> None:
        self.reranker = reranker

    def score(self, pairs: Pairs) -> list[float]:
        """Return the raw logit of each pair, in order."""
        return self.reranker.score(pairs)

    def close(self) -> None:
        """Give memory back."""
        self.reranker.close()


def open_reranker(request: OpenRequest, *, dtype: str = "float32") -> Reranker:
    """Return a reranker with the caches off."""
    return Reranker(
        request.folder, family=request.family, device=request.device, dtype=dtype, max_length=request.max_length
    )


def bare_forward(request: OpenRequest, pair: tuple[str, str]) -> Callable[[], torch.Tensor]:
    """Return a call of our model alone on one pair that is tokenised already: no queue, no thread, no text."""
    resolved = resolve(request.folder, kind="reranker", family=request.family)
    parts = scorer_loader(resolved.spec.scorer)(
        LoadRequest(
            spec=resolved.spec,
            files=resolved.files,
            device=torch.device(request.device),
            dtype=torch.float32,
        )
    )
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(request.folder)
    encoded = tokenizer(*pair, truncation=True, max_length=request.max_length, return_token_type_ids=True)
    one = TokenInput(
        np.asarray(encoded["input_ids"], dtype=np.int32), np.asarray(encoded["token_type_ids"], dtype=np.int32)
    )
    batch = Batch([one])

    def forward() -> torch.Tensor:
        with torch.inference_mode():
            return parts.scorer.forward(batch)

    return forward


def _open(request: OpenRequest, *, dtype: str = "float32") -> System:
    return Ours(open_reranker(request, dtype=dtype))


def _open_cached(_request: OpenRequest) -> System:
    msg = "this version has no score cache"
    raise CannotLoadError(msg)


OURS = SystemSpec(name="rerank_plugins", dtype="float32", open=_open)
OURS_BF16 = SystemSpec(name="rerank_plugins", dtype="bfloat16", open=partial(_open, dtype="bfloat16"))
OURS_FP16 = SystemSpec(name="rerank_plugins", dtype="float16", open=partial(_open, dtype="float16"))
CACHED = SystemSpec(name="rerank_plugins, request seen before", dtype="float32", open=_open_cached)
