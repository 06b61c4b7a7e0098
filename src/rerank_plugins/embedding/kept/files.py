"""The files of a store of token vectors: known by their model, its settings and the text; appended to, never changed.

::

    store.json                       the model, the settings and a sample that tells it from others
    vectors-N-CHECKSUM.safetensors   see :mod:`rerank_plugins.embedding.kept.shards`
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_plugins.embedding.kept.header import (
    HEADER,
    PATTERN,
    Precision,
    StoreIdentity,
    check_header,
    header_of,
    is_same_store,
    read_header,
)
from rerank_plugins.embedding.kept.shards import KeptText, Shard, digest_of, write_shard
from rerank_plugins.engine import forking
from rerank_plugins.errors import VectorStoreError
from rerank_plugins.system.files import reason_of, write_new
from rerank_plugins.types import WindowSpan

__all__ = ["KeptDocument", "KeptFiles", "KeptWindow", "Precision", "StoreIdentity"]

_Rows = npt.NDArray[np.float32]
_UNSEEN, _TICK_NS = -1, 2_000_000_000
"""No time of a folder; how coarse the times of a file system may be (FAT's, two seconds)."""


@dataclass(frozen=True, slots=True)
class KeptWindow:
    """One input of a kept document: where its vectors lie."""

    shard: int
    first: int
    n_vectors: int


@dataclass(frozen=True, slots=True)
class KeptDocument:
    """How a kept document was read.

    Attributes:
        windows: Its inputs.
        spans: The characters in each; None for the whole text.
        truncated: Whether a part of it is in none of them.
    """

    windows: tuple[KeptWindow, ...]
    spans: tuple[tuple[int, int] | None, ...]
    truncated: bool

    @property
    def n_inputs(self) -> int:
        """Number of inputs."""
        return len(self.windows)

    def span(self, winner: int) -> WindowSpan | None:
        """Return the characters of the winning input, or None if it holds the whole document."""
        found = self.spans[winner]
        return None if found is None else WindowSpan(*found)


class KeptFiles:
    """The files of a store, with what the backends need of them.

    Args:
        folder: Where they are.
        precision: What is to be kept; None takes what is there, and ``float16`` for a new store.

    Attributes:
        folder: The same.
        requested_precision: The one that was asked for; None takes what is there.
        precision: What is kept.
        header: ``store.json``; None while there is nothing.
        shards: The files with vectors.

    Raises:
        VectorStoreError: They cannot be read, or have another precision.
    """

    def __init__(self, folder: Path, precision: Precision | None) -> None:
        self.folder, self.requested_precision = folder, precision
        self.header: dict[str, Any] | None = None
        self.precision: Precision = precision or "float16"
        self.shards: list[Shard] = []
        self._gone: set[int] = set()
        self._places: dict[bytes, tuple[int, int]] = {}
        self._adding = threading.RLock()
        self._changed_ns: int | None = _UNSEEN
        forking.watch(self)
        self.refresh()

    def __len__(self) -> int:
        return len(self._places)

    @property
    def present(self) -> list[Shard]:
        """The files that are still there; whoever found a document in one that was removed may read it on."""
        return [shard for number, shard in enumerate(self.shards) if number not in self._gone]

    def after_fork(self) -> None:
        """Replace the lock in a forked process, since another thread may have been adding."""
        self._adding = threading.RLock()

    def refresh(self) -> None:
        """Take in what others have added or removed since: one look at the folder's time where that is nothing.

        Raises:
            VectorStoreError: A file cannot be read, has another precision, or the store was made anew meanwhile.
        """
        changed_ns = _changed_ns(self.folder)
        if changed_ns == self._changed_ns:
            return
        with self._adding:
            found = read_header(self.folder / HEADER)
            self._take_header(found)
            # A store that was removed as a whole is read on.
            gone = set() if found is None else self._removed()
            known = {shard.path.name for number, shard in enumerate(self.shards) if number not in self._gone | gone}
            for path in sorted(self.folder.glob(PATTERN)):
                if path.name not in known:
                    self._append(Shard(path))
            self._forget(gone)
            # A file that comes within the same tick of the clock gives the folder the same time.
            is_settled = changed_ns is None or time.time_ns() - changed_ns > _TICK_NS
            self._changed_ns = changed_ns if is_settled else _UNSEEN

    def _removed(self) -> set[int]:
        """Return which files are no longer there, or were written again: an error about a damaged one says to do so."""
        return {number for number, shard in enumerate(self.shards) if number not in self._gone and not shard.is_there}

    def _forget(self, gone: set[int]) -> None:
        if not gone:
            return
        self._gone |= gone
        places: dict[bytes, tuple[int, int]] = {}
        for number, shard in enumerate(self.shards):
            if number not in self._gone:
                _add_places(places, shard, number)
        # At once: other threads are looking for documents.
        self._places = places

    def _take_header(self, found: dict[str, Any] | None) -> None:
        if found is None:
            return
        if self.header is not None:
            if not is_same_store(self.header, found):
                msg = f"the store {str(self.folder)!r} was made anew since it was opened; open it again"
                raise VectorStoreError(msg)
            return
        wanted = self.requested_precision
        if wanted is not None and found["precision"] != wanted:
            msg = f"{str(self.folder)!r} keeps {found['precision']}, and {wanted} was asked for; leave precision out"
            raise VectorStoreError(msg)
        self.header, self.precision = found, found["precision"]

    def check(self, identity: StoreIdentity) -> None:
        """Check that vectors of a model can be compared with these.

        Raises:
            VectorStoreError: They come from another model, or documents were read in another way.
        """
        if self.header is not None:
            check_header(self.header, identity, folder=self.folder)

    def find(self, text: str) -> KeptDocument | None:
        """Return where the vectors of a text are; None if they are not kept."""
        place = self._places.get(digest_of(text))
        if place is None:
            return None
        number, document = place
        shard = self.shards[number]
        found = shard.windows_of(document)
        return KeptDocument(
            windows=tuple(KeptWindow(number, first, n_vectors) for first, n_vectors, _ in found),
            spans=tuple(span for _, _, span in found),
            truncated=shard.is_truncated(document),
        )

    def add(self, texts: Sequence[KeptText], identity: StoreIdentity) -> int:
        """Append documents as one file, those that no other call has added meanwhile; returns how many.

        Raises:
            VectorStoreError: The store is of another model, or the vectors cannot be kept.
            InvalidInputError: The file cannot be written.
        """
        with self._adding:
            self._begin(identity)
            self.check(identity)
            new = [one for one in texts if one.digest not in self._places]
            if new:
                path = write_shard(self.folder, len(self.shards), new, exact=self.precision == "float16")
                self._append(Shard(path))
        return len(new)

    def _begin(self, identity: StoreIdentity) -> None:
        """Write whose vectors these are, unless that is known; whoever is first decides."""
        self.refresh()
        path = self.folder / HEADER
        if self.header is None:
            write_new(path, header_of(identity, self.precision))
            self._take_header(read_header(path))
        elif not path.is_file():
            msg = f"the store {str(self.folder)!r} was removed since it was opened; open it again"
            raise VectorStoreError(msg)

    def rows(self, windows: Iterable[KeptWindow]) -> _Rows:
        """Return the vectors of some inputs, one after the other, as exactly as they are kept.

        Returns:
            Shape: (vectors, dim), float32.
        """
        places = list(windows)
        # Here, since a store can be looked at without torch.
        from rerank_plugins.embedding.int8_products import as_float32

        if self.precision == "float16":
            return as_float32(self._gathered("exact", places))
        rounded, scales = self.rounded(places)
        rows = as_float32(rounded)
        rows *= scales[:, None]
        return rows

    def rounded(self, windows: Iterable[KeptWindow]) -> tuple[npt.NDArray[np.int8], _Rows]:
        """Return the vectors of some inputs as int8, and the scale of each. Shapes: (vectors, dim) and (vectors,)."""
        places = list(windows)
        return self._gathered("rounded", places), self._gathered("scales", places)

    def _gathered(self, name: str, windows: Sequence[KeptWindow]) -> npt.NDArray[Any]:
        """Return rows of a tensor; those that lie one behind the other in a file are not copied."""
        runs: list[tuple[int, int, int]] = []
        for one in windows:
            if runs and runs[-1][0] == one.shard and runs[-1][2] == one.first:
                runs[-1] = (one.shard, runs[-1][1], one.first + one.n_vectors)
            else:
                runs.append((one.shard, one.first, one.first + one.n_vectors))
        parts = [self.shards[shard].arrays[name][first:end] for shard, first, end in runs]
        return np.asarray(parts[0]) if len(parts) == 1 else np.concatenate(parts)

    def _append(self, shard: Shard) -> None:
        if self.precision == "float16" and "exact" not in shard.arrays:
            msg = (
                f"{str(shard.path)!r} keeps int8 alone, and the store float16: it is another store's. Move it into a "
                "folder of its own"
            )
            raise VectorStoreError(msg)
        if self.shards and self.shards[0].dimensions != shard.dimensions and shard.n_vectors:
            msg = (
                f"{str(shard.path)!r} has vectors of {shard.dimensions} numbers, and the other files of the store "
                f"have {self.shards[0].dimensions}: it is another model's. Move it into a folder of its own"
            )
            raise VectorStoreError(msg)
        number = len(self.shards)
        # First the file, then where its documents are: other threads may be looking for them.
        self.shards.append(shard)
        _add_places(self._places, shard, number)


def _add_places(places: dict[bytes, tuple[int, int]], shard: Shard, number: int) -> None:
    """Note where the documents of a file are that no file before it has."""
    for document, digest in enumerate(shard.digests):
        places.setdefault(digest, (number, document))


def _changed_ns(folder: Path) -> int | None:
    """Return when something was put into a folder or taken out last; None if there is no such folder."""
    try:
        return folder.stat().st_mtime_ns
    except (FileNotFoundError, ValueError):  # ValueError: a null byte; whoever adds is told
        return None
    except OSError as error:
        msg = f"{str(folder)!r} cannot be read ({reason_of(error)})"
        raise VectorStoreError(msg) from error
