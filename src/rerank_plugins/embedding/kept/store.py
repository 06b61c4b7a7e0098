"""A folder of token vectors: known by their model, its settings and the text; appended to, never changed.

::

    store.json                 the model, the settings and a sample that tells it from others
    vectors-N-CHECKSUM.safetensors   see :mod:`rerank_plugins.embedding.kept.shards`
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.embedding.kept.shards import KeptText, Shard, digest_of, write_shard
from rerank_plugins.errors import VectorStoreError
from rerank_plugins.system.files import made_folder, reason_of, write_atomically
from rerank_plugins.types import WindowSpan

__all__ = ["KeptDocument", "KeptWindow", "StoreIdentity", "TokenVectorStore"]

_Rows = npt.NDArray[np.float32]
Precision = Literal["float16", "int8"]
_HEADER, _FORMAT, _PATTERN = "store.json", "rerank-plugins/token-vector-store/1", "vectors-*.safetensors"
_SAMPLE_DIFFERENCE = 0.03
"""Length of the difference of two samples, of that of one: half precision stays below a hundredth, a training above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreIdentity:
    """What makes the vectors of a store.

    Attributes:
        model: Its name, for people; the same weights may lie elsewhere.
        settings: How documents are read, as plain values.
        sample: The vectors of a fixed text. Shape: (tokens, dim).
    """

    model: str
    settings: Mapping[str, Any]
    sample: _Rows


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


class TokenVectorStore:
    """Token vectors of documents on disk, for a reranker that compares them.

    ``Reranker(model, vectors=TokenVectorStore(folder))`` takes the vectors of documents that are in it, and runs the
    model on the query alone; ``reranker.keep_vectors(texts)`` adds documents. A document is known by its text: a text
    that was changed is another one, and is run as if there were no store. Each block of documents is a file of its
    own, written whole or not at all, so that what a killed process had added before stays, and the next call goes on
    behind it. Files are mapped into memory: opening reads their headers. Any number of objects, threads and processes
    may read; a process sees what others add when it opens the store again.

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
        self._folder = Path(folder).expanduser()
        self._header = _read_header(self._folder / _HEADER)
        stored: Precision | None = None if self._header is None else self._header["precision"]
        if precision is not None and stored not in (None, precision):
            msg = f"{str(self._folder)!r} keeps {stored}, and {precision} was asked for; leave precision out"
            raise VectorStoreError(msg)
        self._precision: Precision = stored or precision or "float16"
        self._shards: list[Shard] = []
        self._places: dict[bytes, tuple[int, int]] = {}
        for path in sorted(self._folder.glob(_PATTERN)):
            self._append(Shard(path))

    @property
    def folder(self) -> Path:
        """Where it is."""
        return self._folder

    @property
    def precision(self) -> Precision:
        """What is kept: ``float16`` (and int8), or ``int8``."""
        return self._precision

    @property
    def model(self) -> str | None:
        """The model's name when the store was made; None while it is empty."""
        return None if self._header is None else self._header["model"]

    @property
    def n_vectors(self) -> int:
        """Vectors of all documents."""
        return sum(shard.n_vectors for shard in self._shards)

    @property
    def n_bytes(self) -> int:
        """Bytes of its files."""
        return sum(shard.path.stat().st_size for shard in self._shards)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, text: object) -> bool:
        return isinstance(text, str) and digest_of(text) in self._places

    def __repr__(self) -> str:
        return f"TokenVectorStore({str(self._folder)!r}, precision={self._precision!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenVectorStore, (self._folder,)

    def verify(self) -> int:
        """Read every file and compare it with its checksum; returns how many vectors were read.

        Raises:
            VectorStoreError: Files are damaged; all of them are named.
        """
        wrong = []
        for shard in self._shards:
            try:
                shard.verify()
            except VectorStoreError as error:
                wrong.append(str(error))
        if wrong:
            raise VectorStoreError("; ".join(wrong))
        return self.n_vectors

    def check(self, identity: StoreIdentity) -> None:
        """Check that vectors of a model can be compared with these.

        Raises:
            VectorStoreError: They come from another model, or documents were read in another way.
        """
        header = self._header
        if header is None:
            return
        settings = json.loads(json.dumps(dict(identity.settings)))
        differing = {
            name: (header["settings"].get(name), settings.get(name))
            for name in sorted({*header["settings"], *settings})
            if header["settings"].get(name) != settings.get(name)
        }
        sample = np.array(header["sample"], dtype=np.float32)
        if not differing and not _is_same(sample, identity.sample):
            differing = {"weights": (header["model"], identity.model)}
        if differing:
            told = "; ".join(
                f"{name} was {str(was)[:80]} and is {str(now)[:80]}" for name, (was, now) in differing.items()
            )
            msg = (
                f"the vectors in {str(self._folder)!r} are those of {header['model']!r} as it was used then, and this "
                f"is {identity.model!r}: {told}. Open the model in the same way, or keep its vectors in another folder"
            )
            raise VectorStoreError(msg)

    def find(self, text: str) -> KeptDocument | None:
        """Return where the vectors of a text are; None if they are not kept."""
        place = self._places.get(digest_of(text))
        if place is None:
            return None
        number, document = place
        shard = self._shards[number]
        found = shard.windows_of(document)
        return KeptDocument(
            windows=tuple(KeptWindow(number, first, n_vectors) for first, n_vectors, _ in found),
            spans=tuple(span for _, _, span in found),
            truncated=shard.is_truncated(document),
        )

    def add(self, texts: Sequence[KeptText], identity: StoreIdentity) -> None:
        """Append documents as one file.

        Raises:
            VectorStoreError: The store is of another model, or the vectors cannot be kept.
            InvalidInputError: The file cannot be written.
        """
        made_folder(self._folder)
        if self._header is None:
            self._header = _write_header(self._folder / _HEADER, identity, self._precision)
        self.check(identity)
        path = write_shard(self._folder, len(self._shards), texts, exact=self._precision == "float16")
        self._append(Shard(path))

    def rows(self, windows: Iterable[KeptWindow]) -> _Rows:
        """Return the vectors of some inputs, one after the other, as exactly as they are kept.

        Returns:
            Shape: (vectors, dim), float32.
        """
        places = list(windows)
        if self._precision == "float16":
            return self._gathered("exact", places).astype(np.float32)
        rounded, scales = self.rounded(places)
        return rounded.astype(np.float32) * scales[:, None]

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
        parts = [self._shards[shard].arrays[name][first:end] for shard, first, end in runs]
        return np.asarray(parts[0]) if len(parts) == 1 else np.concatenate(parts)

    def _append(self, shard: Shard) -> None:
        if self._shards and self._shards[0].dimensions != shard.dimensions and shard.n_vectors:
            msg = (
                f"{str(shard.path)!r} has vectors of {shard.dimensions} numbers, and the other files of the store "
                f"have {self._shards[0].dimensions}: it is another model's. Move it into a folder of its own"
            )
            raise VectorStoreError(msg)
        for document, digest in enumerate(shard.digests):
            self._places.setdefault(digest, (len(self._shards), document))
        self._shards.append(shard)


def _is_same(kept: _Rows, made: _Rows) -> bool:
    if kept.shape != made.shape:
        return False
    lengths = np.maximum(np.linalg.norm(kept, axis=1), 1e-6)
    return bool((np.linalg.norm(kept - made, axis=1) <= _SAMPLE_DIFFERENCE * lengths).all())


def _read_header(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        others = sorted(path.parent.glob(_PATTERN)) if path.parent.is_dir() else []
        if others:
            msg = (
                f"{str(path.parent)!r} has vectors and no {_HEADER}, which says whose they are; put that file back, or "
                "begin with an empty folder"
            )
            raise VectorStoreError(msg)
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{str(path)!r} cannot be read ({reason_of(error)}); put the file back, or begin with an empty folder"
        raise VectorStoreError(msg) from error
    needed = {"format", "model", "precision", "settings", "sample"}
    if not isinstance(found, dict) or found.get("format") != _FORMAT or needed - found.keys():
        msg = f"{str(path)!r} is no store of token vectors of this version; begin with an empty folder"
        raise VectorStoreError(msg)
    return found


def _write_header(path: Path, identity: StoreIdentity, precision: Precision) -> dict[str, Any]:
    header = {
        "format": _FORMAT,
        "model": identity.model,
        "precision": precision,
        "settings": dict(identity.settings),
        "sample": [[round(float(number), 6) for number in row] for row in identity.sample],
    }
    data = json.dumps(header, ensure_ascii=False)
    write_atomically(path, data.encode())
    read: dict[str, Any] = json.loads(data)
    return read
