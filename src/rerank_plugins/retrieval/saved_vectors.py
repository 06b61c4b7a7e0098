"""The files with vectors of a saved retriever, which are read whole.

::

    vectors-N.npy    one a document, shape (n, dim), float32
    tokens-N.npz     rows, shape (tokens of all, dim), float16; lengths, shape (documents,), int64
"""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval.token_rows import TokenRows, token_rows

__all__ = ["read_token_rows", "read_vectors", "write_token_rows"]

_Vectors = npt.NDArray[np.float32]

_SAME_MODEL = 0.99
"""Least cosine of each token's vector with the one that was saved."""


def read_vectors(path: Path) -> _Vectors:
    """Return the vectors in a file, or raise InvalidInputError if it is damaged. Shape: (n, dim)."""
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        msg = f"{path} could not be read ({error}); index the texts again"
        raise InvalidInputError(msg) from error
    if not isinstance(vectors, np.ndarray) or vectors.dtype != np.float32 or not np.isfinite(vectors).all():
        msg = f"{path} holds no finite float32 vectors; index the texts again"
        raise InvalidInputError(msg)
    return vectors


def write_token_rows(folder: Path, number: int, vectors: TokenRows) -> None:
    """Write the vectors of a stage."""
    with (folder / _name(number)).open("wb") as file:
        np.savez(file, allow_pickle=False, rows=vectors.rows, lengths=vectors.lengths)


def read_token_rows(folder: Path, number: int, texts: list[str], embedder: Embedder) -> TokenRows:
    """Return the vectors of a stage.

    Args:
        folder: The retriever's.
        number: The stage's.
        texts: The documents.
        embedder: What the vectors were made with; it embeds the shortest document that has some.

    Raises:
        InvalidInputError: They are damaged, of other documents, or of another model.
    """
    path = folder / _name(number)
    try:
        with np.load(path, allow_pickle=False) as saved:
            rows, lengths = saved["rows"], saved["lengths"]
    except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
        msg = f"{path} could not be read ({error}); index the texts again"
        raise InvalidInputError(msg) from error
    if rows.dtype != np.float16 or lengths.dtype != np.int64 or not np.isfinite(rows).all():
        msg = f"{path} holds no finite token vectors in float16; index the texts again"
        raise InvalidInputError(msg)
    vectors = TokenRows(rows, lengths)
    if len(lengths) != len(texts):
        msg = f"{path} has the vectors of {len(lengths)} documents, and there are {len(texts)}; index the texts again"
        raise InvalidInputError(msg)
    _check_model(path, vectors, texts, embedder)
    return vectors


def _check_model(path: Path, vectors: TokenRows, texts: list[str], embedder: Embedder) -> None:
    filled = np.flatnonzero(vectors.lengths)
    if not len(filled):
        return
    place = min(filled.tolist(), key=lambda one: len(texts[one]))
    known = vectors.of(np.array([place]))[0]
    found = token_rows([texts[place]], embedder, batch_size=1).rows.astype(np.float32)
    if found.shape == known.shape:
        lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(known, axis=1)
        lowest = float(((found * known).sum(axis=1) / np.maximum(lengths, 1e-12)).min())
        if lowest >= _SAME_MODEL:
            return
    msg = (
        f"{path}: the embedder gives a text other token vectors than those saved; its weights are others. Pass the "
        "embedder that they were made with, or index the texts again"
    )
    raise InvalidInputError(msg)


def _name(number: int) -> str:
    return f"tokens-{number}.npz"
