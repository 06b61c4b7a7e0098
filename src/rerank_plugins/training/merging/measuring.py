"""What a merged model reaches on a set: the candidates of each query, ranked by a reranker or by cosines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker
from rerank_plugins.training.dev import DevSet, dev_set, keep_sets
from rerank_plugins.training.merging.settings import MergeSettings
from rerank_plugins.training.settings import DataSettings

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
    embedder = Embedder(model, device=settings.device, max_length=length, source=source)
    try:
        return tuple(one.measured(_cosines(embedder, one)).mean(settings.metric) for one in sets)
    finally:
        embedder.close()


def _cosines(embedder: Embedder, dev: DevSet) -> list[float]:
    """Return the cosine of each of the set's pairs; each text is embedded once."""
    pairs = dev.pairs
    queries, texts = (list(dict.fromkeys(side)) for side in zip(*pairs, strict=True))
    query_rows, text_rows = embedder.embed_queries(queries), embedder.embed_documents(texts)
    query_at = {text: row for row, text in enumerate(queries)}
    text_at = {text: row for row, text in enumerate(texts)}
    left = query_rows[[query_at[query] for query, _ in pairs]]
    right = text_rows[[text_at[text] for _, text in pairs]]
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return [float(one) for one in (left * right).sum(axis=1) / np.maximum(lengths, 1e-12)]
