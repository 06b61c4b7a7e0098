"""Token vectors on disk, as their user sees them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.embedding.kept.files import KeptFiles
from rerank_plugins.embedding.kept.header import Precision
from rerank_plugins.embedding.kept.shards import Shard
from rerank_plugins.errors import VectorStoreError

__all__ = ["TokenVectorStore", "files_of"]


class TokenVectorStore:
    """Token vectors of documents on disk, for a reranker that compares them.

    ``Reranker(model, cache=TokenVectorStore(folder))`` takes the vectors of documents that are in it, and runs the
    model on the query alone; ``reranker.keep_vectors(texts)`` and ``embedder.stored_vectors(texts, store)`` add
    documents. A document is known by its text: a text that was changed is another one, and is run as if there were no
    store. Each block of documents is a file of its own, written whole or not at all, so that what a killed process had
    added before stays, and the next call goes on behind it. Files are mapped into memory: opening reads their headers.
    Any number of objects, threads and processes may read and add; each sees what the others have added when it looks
    next.

    Args:
        folder: Where; made when the first document is added.
        precision: ``float16``: vectors as float16, and as int8 with a scale a token for a first look at many documents
            (3 bytes a number). ``int8``: those alone (1 byte a number); scores differ in the second decimal. None
            takes what the store has, and ``float16`` for a new one.

    Raises:
        VectorStoreError: It cannot be read, or has another precision.

    Example:
        >>> from tempfile import mkdtemp
        >>> len(TokenVectorStore(mkdtemp()))
        0
    """

    @checked_call()
    def __init__(self, folder: str | Path, *, precision: Precision | None = None) -> None:
        self._files = KeptFiles(Path(folder).expanduser(), precision)

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._files.folder

    @property
    def precision(self) -> Precision:
        """What is kept: ``float16`` (and int8), or ``int8``."""
        return self._fresh.precision

    @property
    def model(self) -> str | None:
        """The model's name when the store was made; None while it is empty."""
        header = self._fresh.header
        return None if header is None else header["model"]

    @property
    def n_vectors(self) -> int:
        """Vectors of all documents."""
        return sum(shard.n_vectors for shard in self._fresh.present)

    @property
    def n_bytes(self) -> int:
        """Bytes of its files."""
        return sum(shard.n_bytes for shard in self._fresh.present)

    def __len__(self) -> int:
        return len(self._fresh)

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and self._fresh.find(text) is not None

    def __repr__(self) -> str:
        return f"TokenVectorStore({str(self.folder)!r}, precision={self._files.precision!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Nothing may be kept yet that says the precision.
        return partial(TokenVectorStore, precision=self._files.requested_precision), (self.folder,)

    @property
    def _fresh(self) -> KeptFiles:
        self._files.refresh()
        return self._files

    def verify(self) -> int:
        """Read every file and compare it with its checksum; returns how many vectors were read.

        Raises:
            VectorStoreError: Files are damaged; all of them are named.
        """
        wrong = []
        for shard in self._fresh.present:
            try:
                # Opened anew: of a small file what was in it is in memory.
                Shard(shard.path).verify()
            except VectorStoreError as error:
                wrong.append(str(error))
        if wrong:
            raise VectorStoreError("; ".join(wrong))
        return self.n_vectors


def files_of(store: TokenVectorStore) -> KeptFiles:
    """Return the files of a store, for the backends."""
    return store._files
