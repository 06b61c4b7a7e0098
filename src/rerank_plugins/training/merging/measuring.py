"""What a merged model reaches on a set: the candidates of each query, ranked by a reranker or by vectors.

Vectors are compared by what the model declares (``similarity_fn_name``), as its training compared them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from rerank_plugins.catalog.spec import ModelKind, Similarity
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker
from rerank_plugins.training.dev import DevSet, dev_set, keep_sets
from rerank_plugins.training.merging.settings import MergeSettings
from rerank_plugins.training.settings import DataSettings
from rerank_plugins.training.vectors.measuring import dense_pair, vector_scores

__all__ = ["measured", "sets_of"]


def sets_of(settings: MergeSettings) -> tuple[DevSet, ...]:
    """Return the dev set and after it the other sets; nothing without a dev set.

    Raises:
        InvalidInputError: One cannot be read, has nothing to measure, or has the name of another.
    """
    if settings.dev_data is None:
        return ()
    data = DataSettings(
        train_data=(settings.dev_data,),
        dev_data=settings.dev_data,
        dev_top_k=settings.dev_top_k,
        keep_data=settings.keep_data,
        keep_queries=settings.keep_queries,
    )
    dev = dev_set(data, (), metric=settings.metric)
    found = (*([] if dev is None else [dev]), *keep_sets(data, metric=settings.metric))
    names = [one.dataset.name for one in found]
    if len(set(names)) < len(names):
        msg = f"two of the sets have one name ({', '.join(names)}); name each once, or rename a folder"
        raise InvalidInputError(msg)
    return found


def measured(
    model: str | Path, sets: Sequence[DevSet], *, kind: ModelKind, settings: MergeSettings
) -> tuple[float, ...]:
    """Return a model's measure on each set.

    Raises:
        ModelError: It cannot be opened.
    """
    length, source = settings.max_length, settings.source
    if kind == "reranker":
        with Reranker(model, device=settings.device, max_length=length, source=source) as reranker:
            return tuple(one.measured(reranker.score(one.pairs)).mean(settings.metric) for one in sets)
    with Embedder(model, device=settings.device, max_length=length, source=source) as embedder:
        return tuple(one.measured(_similarities(embedder, one)).mean(settings.metric) for one in sets)


def _similarities(embedder: Embedder, dev: DevSet) -> list[float]:
    """Return how alike each of the set's pairs is to the model; blank texts are last."""

    def queries(texts: Sequence[str]) -> list[Tensor]:
        return list(torch.from_numpy(embedder.embed_queries(texts)))

    def documents(texts: Sequence[str]) -> list[Tensor]:
        return list(torch.from_numpy(embedder.embed_documents(texts)))

    return vector_scores(dev, queries, documents, _PAIRS[embedder.spec.similarity])


def _cosine(query: Tensor, text: Tensor) -> float:
    return float(functional.cosine_similarity(query, text, dim=0))


def _nearness(query: Tensor, text: Tensor, *, norm: int) -> float:
    """Return the distance of two vectors with its sign turned, so that the most alike is the highest."""
    return -float(torch.linalg.vector_norm(query - text, ord=norm))


_PAIRS: Mapping[Similarity, Callable[[Tensor, Tensor], float]] = {
    "cosine": _cosine,
    "dot": dense_pair,
    "euclidean": partial(_nearness, norm=2),
    "manhattan": partial(_nearness, norm=1),
}
"""sentence-transformers 6 ``util/similarity.py``."""
