"""This project, through its public API. Both caches are off unless the row says otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import cast

import numpy as np
import torch
import transformers

from benchmarks.environment import NO_INT8, has_int8
from benchmarks.systems.base import CannotLoadError, OpenRequest, Pairs, SystemSpec
from rerank_plugins import EngineOptions, Reranker, ScoreCache, SourceOptions
from rerank_plugins.backends.local import LocalScorer
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.engine.device import default_budget_tokens
from rerank_plugins.engine.executor import execute
from rerank_plugins.engine.packing import pack
from rerank_plugins.engine.tensors import ModelRows
from rerank_plugins.protocols import Batch, TokenInput
from rerank_plugins.scorers import scorer_loader
from rerank_plugins.weights.base import LoadRequest

__all__ = [
    "CACHED",
    "OURS",
    "OURS_BF16",
    "OURS_FP16",
    "OURS_INT8",
    "Ours",
    "bare_forward",
    "batches_in_this_thread",
    "open_reranker",
]

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


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

    def time_forwards(self) -> list[float]:
        """Return a list to which each forward adds its seconds from now on.

        A forward timed from another thread is no measure of one inside a call: the OpenMP threads of both spin on the
        same cores.
        """
        seconds: list[float] = []
        for scorer in self.reranker._lease.value.batcher._scorers:
            forward = scorer.forward

            def timed(batch: Batch, forward: Callable[[Batch], torch.Tensor] = forward) -> torch.Tensor:
                start = time.perf_counter()
                rows = forward(batch)
                seconds.append(time.perf_counter() - start)
                return rows

            scorer.forward = timed
        return seconds

    def close(self) -> None:
        """Give memory back."""
        self.reranker.close()


def open_reranker(
    request: OpenRequest, *, dtype: str = "float32", cached: bool = False, share_prefix: bool = True
) -> Reranker:
    """Return a reranker with its caches off, or with its score cache and token cache on."""
    return Reranker(
        request.folder,
        device=request.device,
        dtype=dtype,
        max_length=request.max_length,
        engine=EngineOptions(token_cache=cached, share_prefix=share_prefix),
        source=SourceOptions(family=request.family),
        cache=ScoreCache() if cached else None,
    )


def batches_in_this_thread(reranker: Reranker, pairs: Pairs) -> Callable[[], object]:
    """Return a call that runs the engine's batches of a request where a profiler of this thread sees them."""
    inputs = [one for pair in cast("LocalScorer", reranker._backend).encode(pairs) for one in pair.inputs]
    batcher = reranker._lease.value.batcher
    return lambda: execute(batcher._scorers[0], inputs, budget=batcher._budget)


def bare_forward(request: OpenRequest, pairs: Pairs, *, dtype: str = "float32") -> Callable[[], list[ModelRows]]:
    """Return a call of our model alone on pairs that are tokenised already: no queue, no thread, no text."""
    resolved = resolve(request.folder, kind="reranker", options=SourceOptions(family=request.family))
    device = torch.device(request.device)
    parts = scorer_loader(resolved.spec.scorer)(
        LoadRequest(spec=resolved.spec, files=resolved.files, device=device, dtype=_DTYPES[dtype])
    )
    inputs = _tokenized(request, pairs)
    lengths, budget_tokens = [len(one) for one in inputs], default_budget_tokens(device)
    groups = pack(lengths, budget_tokens=budget_tokens, padded=parts.scorer.is_padded)
    batches = [Batch([inputs[index] for index in group]) for group in groups]
    return lambda: [parts.scorer.forward(batch) for batch in batches]


def _tokenized(request: OpenRequest, pairs: Pairs) -> list[TokenInput]:
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(request.folder)
    queries, documents = [query for query, _ in pairs], [document for _, document in pairs]
    encoded = tokenizer(queries, documents, truncation=True, max_length=request.max_length, return_token_type_ids=True)
    return [
        TokenInput(np.asarray(ids, dtype=np.int32), np.asarray(types, dtype=np.int32))
        for ids, types in zip(encoded["input_ids"], encoded["token_type_ids"], strict=True)
    ]


def _open(request: OpenRequest, *, dtype: str = "float32", cached: bool = False) -> Ours:
    if dtype == "int8" and not has_int8():
        raise CannotLoadError(NO_INT8)
    return Ours(open_reranker(request, dtype=dtype, cached=cached))


OURS = SystemSpec(name="rerank_plugins", dtype="float32", open=_open)
OURS_BF16 = SystemSpec(name="rerank_plugins", dtype="bfloat16", open=partial(_open, dtype="bfloat16"))
OURS_FP16 = SystemSpec(name="rerank_plugins", dtype="float16", open=partial(_open, dtype="float16"))
OURS_INT8 = SystemSpec(name="rerank_plugins", dtype="int8", open=partial(_open, dtype="int8"))
CACHED = SystemSpec(name="rerank_plugins, request seen before", dtype="float32", open=partial(_open, cached=True))
