"""The vectors of all passages and questions of a set, kept in a folder so that each pass is a run of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.long_documents.passages import Cut
from benchmarks.long_documents.sets import LongSet
from rerank_plugins import Embedder
from rerank_plugins.types import WindowSpan

__all__ = ["SIZES", "in_context_vectors", "plain_vectors", "question_vectors"]

SIZES = (128, 256, 512)
"""Tokens of a chunk."""

Vectors = npt.NDArray[np.float32]
Tell = Callable[[str], None]


def question_vectors(found: LongSet, embedder: Embedder, folder: Path) -> Vectors:
    """Return the vectors of the questions. Shape: (questions, dim)."""

    def made() -> dict[str, Vectors]:
        return {"questions": embedder.embed_queries([one.text for one in found.questions])}

    return _kept(folder / f"{found.name}-questions.npz", made)["questions"]


def plain_vectors(
    found: LongSet, cut: Cut, size: int, embedder: Embedder, folder: Path, tell: Tell
) -> dict[str, Vectors]:
    """Return for each document the vectors of its chunks, each embedded alone; ``size`` 0 takes sentences."""

    def made() -> dict[str, Vectors]:
        vectors = {}
        for document, text in _each(found, f"{found.name}: plain {size or 'sentences'}", tell):
            spans = cut.chunks(document, size) if size else cut.sentences[document]
            vectors[document] = embedder.embed_documents([text[span.start : span.end] for span in spans])
        return vectors

    return _kept(folder / f"{found.name}-plain-{size}.npz", made)


def in_context_vectors(
    found: LongSet, cut: Cut, embedder: Embedder, folder: Path, tell: Tell, *, name: str
) -> dict[str, Vectors]:
    """Return for each document the vectors of its sentences, then of its chunks of each size: one pass for all.

    Args:
        found: The set.
        cut: Its documents in sentences.
        embedder: Reads them.
        folder: Where they are kept.
        tell: Is told how far it is.
        name: What the vectors are called in the folder.
    """

    def made() -> dict[str, Vectors]:
        vectors = {}
        for document, text in _each(found, f"{found.name}: {name}", tell):
            spans: list[WindowSpan] = [*cut.sentences[document]]
            for size in SIZES:
                spans += cut.chunks(document, size)
            vectors[document] = embedder.encode_chunks([text], chunks=[spans])[0].vectors
        return vectors

    return _kept(folder / f"{found.name}-{name}.npz", made)


def _each(found: LongSet, what: str, tell: Tell) -> Iterator[tuple[str, str]]:
    start_s = time.perf_counter()
    for number, (document, text) in enumerate(found.documents.items(), start=1):
        yield document, text
        if number % 10 == 0 or number == len(found.documents):
            tell(f"{what}: {number} of {len(found.documents)} documents, {time.perf_counter() - start_s:.0f} s")


def _kept(path: Path, made: Callable[[], dict[str, Vectors]]) -> dict[str, Vectors]:
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        vectors = made()
        arrays: dict[str, Any] = {f"v{number}": one for number, one in enumerate(vectors.values())}
        np.savez(path, names=np.array(list(vectors)), **arrays)
    with np.load(path, allow_pickle=False) as saved:
        return {str(name): saved[f"v{number}"] for number, name in enumerate(saved["names"])}
