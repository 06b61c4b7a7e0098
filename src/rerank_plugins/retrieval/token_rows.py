"""The token vectors of a corpus, one document's behind the other's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rerank_plugins.embedder import Embedder
from rerank_plugins.embedding.kept import TokenVectorStore
from rerank_plugins.errors import InvalidInputError, UnsupportedModelError
from rerank_plugins.text.tokenizer import is_blank

__all__ = ["TokenRows", "token_rows"]

_STORED_AT_ONCE = 1_000
"""Documents whose vectors are one file of a store."""

_Half = npt.NDArray[np.float16]
_Places = npt.NDArray[np.int64]
_NONE: _Half = np.zeros((0, 0), dtype=np.float16)


@dataclass(frozen=True, eq=False)
class TokenRows:
    """Token vectors of documents.

    Attributes:
        rows: Those of all documents. Shape: (tokens of all, dim), float16.
        lengths: How many each document has. Shape: (documents,).

    Raises:
        InvalidInputError: They do not fit each other.
    """

    rows: _Half
    lengths: _Places

    def __post_init__(self) -> None:
        if self.rows.ndim != 2 or self.lengths.ndim != 1 or (self.lengths < 0).any():
            shapes = f"{self.rows.shape} and {self.lengths.shape}"
            msg = f"token vectors need the shapes (tokens, dim) and (documents,), got {shapes}"
            raise InvalidInputError(msg)
        if len(self.rows) != self.lengths.sum():
            msg = f"the documents have {self.lengths.sum()} token vectors, and there are {len(self.rows)}"
            raise InvalidInputError(msg)

    @cached_property
    def ends(self) -> _Places:
        """Behind the last vector of each document. Shape: (documents,)."""
        return np.cumsum(self.lengths)

    def document_of(self, rows: _Places) -> _Places:
        """Return the documents that vectors are of."""
        found: _Places = np.searchsorted(self.ends, rows, side="right")
        return found

    def of(self, documents: _Places) -> tuple[npt.NDArray[np.float32], _Places]:
        """Return the vectors of some documents in float32, and how many each has."""
        parts = [self.rows[self.ends[one] - self.lengths[one] : self.ends[one]] for one in documents.tolist()]
        joined = np.concatenate(parts) if parts else self.rows[:0]
        return joined.astype(np.float32), self.lengths[documents]

    def joined(self, others: TokenRows) -> TokenRows:
        """Return these with those of other documents behind them."""
        # None have no width either.
        filled = [one for one in (self.rows, others.rows) if len(one)]
        rows = np.concatenate(filled) if filled else self.rows
        return TokenRows(rows, np.concatenate([self.lengths, others.lengths]))


def token_rows(
    texts: Sequence[str],
    embedder: Embedder,
    *,
    batch_size: int,
    store: TokenVectorStore | None = None,
    advance: Callable[[int], object] | None = None,
) -> TokenRows:
    """Return the token vectors of texts; blank ones have none.

    Args:
        texts: Documents.
        embedder: One whose model has token vectors.
        batch_size: Documents per call.
        store: Where vectors are kept: those that are there are not made again, and the others are kept, a thousand
            documents a file; None makes all.
        advance: Called with the number of documents after each call.

    Raises:
        UnsupportedModelError: The model has no token vectors.
        InvalidInputError: They are too large for float16.
        ScoringError: The model returned NaN or infinity.
        VectorStoreError: The store is another model's, or cannot be written.
    """
    found: list[npt.NDArray[np.float16]] = []
    try:
        embedder.encode_documents([], outputs=("colbert",))
    except InvalidInputError as error:
        msg = (
            f"{embedder.model!r} has no token vectors, which a multi-vector index is made of; name a ColBERT or "
            "BAAI/bge-m3, or take retriever='dense' for vectors of whole texts"
        )
        raise UnsupportedModelError(msg) from error
    at_once = batch_size if store is None else max(batch_size, _STORED_AT_ONCE)
    for start in range(0, len(texts), at_once):
        block = texts[start : start + at_once]
        # What stands around a blank text has vectors too, and no text.
        filled = [text for text in block if not is_blank(text)]
        if store is None:
            vectors: Sequence[npt.NDArray[np.float32]] = (
                embedder.encode_documents(filled, outputs=("colbert",)).colbert or ()
            )
        else:
            vectors = embedder.stored_vectors(filled, store)
        made = iter([_half(one, embedder) for one in vectors])
        found += [_NONE if is_blank(text) else next(made) for text in block]
        if advance is not None:
            advance(len(block))
    there = [one for one in found if len(one)]
    rows = np.concatenate(there) if there else _NONE
    return TokenRows(rows, np.array([len(one) for one in found], dtype=np.int64))


def _half(rows: npt.NDArray[np.float32], embedder: Embedder) -> _Half:
    """Return vectors as they are held, or raise InvalidInputError if they are too large for it."""
    with np.errstate(over="ignore"):
        made = rows.astype(np.float16)
    if not np.isfinite(made).all():
        msg = (
            f"token vectors of {embedder.model!r} are too large for float16, in which an index holds them; keep them "
            "of length 1: Embedder(..., vectors=VectorOptions(normalize=True))"
        )
        raise InvalidInputError(msg)
    return made
