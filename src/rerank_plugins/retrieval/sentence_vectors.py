"""The vectors of the sentences of an index: in context, alone, or with those of the passages around them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_plugins.embedder import Embedder
from rerank_plugins.retrieval.dense import embed_texts, unit_rows
from rerank_plugins.retrieval.passages import extent, packed
from rerank_plugins.types import WindowSpan

__all__ = ["sentence_vectors"]

_Vectors = npt.NDArray[np.float32]
_Documents = Mapping[str, tuple[str, tuple[WindowSpan, ...]]]


def sentence_vectors(documents: _Documents, embedder: Embedder, settings: Mapping[str, Any]) -> _Vectors:
    """Return one vector for each sentence of some documents, in order. Shape: (sentences, dim).

    Args:
        documents: Document id to text and sentences.
        embedder: Makes the vectors.
        settings: ``in_context``, ``overlap`` and ``passage_characters`` of a
            :class:`~rerank_plugins.retrieval.SentenceIndex`.
    """
    if not any(spans for _, spans in documents.values()):
        return np.zeros((0, 0), dtype=np.float32)
    if settings["in_context"]:
        texts = [text for text, _ in documents.values()]
        chunks = [spans for _, spans in documents.values()]
        found = embedder.encode_chunks(texts, chunks=chunks, overlap=settings["overlap"])
        vectors = np.concatenate([one.vectors for one in found if len(one)])
    else:
        sentences = [text[one.start : one.end] for text, spans in documents.values() for one in spans]
        vectors = embed_texts(sentences, embedder)
    characters = settings["passage_characters"]
    return vectors if characters is None else _with_passages(vectors, documents, embedder, characters)


def _with_passages(vectors: _Vectors, documents: _Documents, embedder: Embedder, characters: int) -> _Vectors:
    """Return vectors with that of the passage around each sentence added, both of length 1 before."""
    texts, counts = [], []
    for text, spans in documents.values():
        for first, end in packed(spans, characters):
            span = extent(spans[first:end])
            texts.append(text[span.start : span.end])
            counts.append(end - first)
    passages = unit_rows(embed_texts(texts, embedder))
    return unit_rows(vectors) + np.repeat(passages, counts, axis=0)
