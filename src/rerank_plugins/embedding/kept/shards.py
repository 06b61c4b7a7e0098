"""One file of a store: the token vectors of some documents, in safetensors, read by mapping it into memory.

::

    digests    uint8    (documents, 16)   BLAKE2b of each text in UTF-8
    windows    int32    (documents,)      inputs that it was read in
    truncated  uint8    (documents,)      whether a part of it is in none of them
    vectors    int32    (windows,)        vectors of each input
    spans      int32    (windows, 2)      characters in it, half-open; -1 for the whole text
    exact      float16  (vectors, dim)    unless the store is of int8 alone
    rounded    int8     (vectors, dim)    ``rounded * scales`` is nearly ``exact``
    scales     float32  (vectors,)        one a token
"""

from __future__ import annotations

import errno
import json
import math
import mmap
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from rerank_plugins.errors import VectorStoreError
from rerank_plugins.system.files import reason_of, sweep_leftovers, write_atomically

__all__ = ["KeptText", "Shard", "digest_of", "rounded_rows", "write_shard"]

_Rows = npt.NDArray[np.float32]
_DIGEST_BYTES = 16
_FORMAT = "rerank-plugins/token-vectors/1"
_TYPES: Mapping[str, tuple[str, type[np.generic]]] = MappingProxyType(
    {
        "digests": ("U8", np.uint8),
        "windows": ("I32", np.int32),
        "truncated": ("U8", np.uint8),
        "vectors": ("I32", np.int32),
        "spans": ("I32", np.int32),
        "exact": ("F16", np.float16),
        "rounded": ("I8", np.int8),
        "scales": ("F32", np.float32),
    }
)
_NEEDED = _TYPES.keys() - {"exact"}
_MOST_HEADER_BYTES = 1_000_000
_MOST_READ_BYTES = 1 << 18
"""Of a file that is read into memory: three documents of 180 tokens of 128 numbers. Who adds documents one by one has
thousands of such files, and a process may hold some hundred files open."""
_NO_MORE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class KeptText:
    """The vectors of one document, as they are to be kept.

    Attributes:
        digest: Of its text.
        windows: For each of its inputs the vectors, shape (tokens, dim), and the characters in it; None for the whole
            text.
        truncated: Whether a part of it is in no input.
    """

    digest: bytes
    windows: Sequence[tuple[_Rows, tuple[int, int] | None]]
    truncated: bool


def digest_of(text: str) -> bytes:
    """Return what a text is known by."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()


def rounded_rows(rows: _Rows) -> tuple[npt.NDArray[np.int8], _Rows]:
    """Return vectors as int8 with one scale each: 127 is the largest component of a vector.

    Args:
        rows: Shape: (vectors, dim).

    Returns:
        Shapes: (vectors, dim) and (vectors,).
    """
    scales = np.abs(rows).max(axis=1, initial=0.0) / np.float32(127)
    safe = np.where(scales > 0, scales, np.float32(1))
    return np.rint(rows / safe[:, None]).astype(np.int8), scales.astype(np.float32)


def write_shard(folder: Path, number: int, texts: Sequence[KeptText], *, exact: bool) -> Path:
    """Write a file of documents, whole or not at all; returns its path.

    Args:
        folder: The store's.
        number: Place among its files.
        texts: At least one document.
        exact: Whether float16 is kept beside int8.

    Raises:
        VectorStoreError: A vector is too large for float16, or not finite.
        InvalidInputError: The file cannot be written.
    """
    windows = [window for text in texts for window in text.windows]
    rows = np.concatenate([one for one, _ in windows]) if windows else np.zeros((0, 1), dtype=np.float32)
    rounded, scales = rounded_rows(rows)
    arrays: dict[str, npt.NDArray[Any]] = {
        "digests": np.frombuffer(b"".join(text.digest for text in texts), dtype=np.uint8).reshape(len(texts), -1),
        "windows": np.array([len(text.windows) for text in texts], dtype=np.int32),
        "truncated": np.array([text.truncated for text in texts], dtype=np.uint8),
        "vectors": np.array([len(one) for one, _ in windows], dtype=np.int32),
        "spans": np.array([span or (-1, -1) for _, span in windows], dtype=np.int32).reshape(len(windows), 2),
        "rounded": rounded,
        "scales": scales,
    }
    if exact:
        with np.errstate(over="ignore"):
            arrays["exact"] = rows.astype(np.float16)
        if not np.isfinite(arrays["exact"]).all():
            msg = "token vectors are not finite in float16; keep vectors of length 1, or precision='int8'"
            raise VectorStoreError(msg)
    checksum = _checksum(arrays)
    sweep_leftovers(folder)
    path = folder / f"vectors-{number:06d}-{checksum[:8]}.safetensors"
    write_atomically(path, save(arrays, metadata={"format": _FORMAT, "checksum": checksum}))
    return path


class Shard:
    """A file of a store, opened.

    Args:
        path: The file.

    Attributes:
        digests: Of its documents.
        n_bytes: Its size.
        arrays: Its tensors by name; those with vectors are read from the file where they are used.

    Raises:
        VectorStoreError: The file is cut off, damaged, or no file of a store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            data, self._written_ns = _bytes_of(path)
            self.n_bytes, n_header = len(data), int.from_bytes(data[:8].tobytes(), "little")
            header = json.loads(data[8 : 8 + min(n_header, _MOST_HEADER_BYTES)].tobytes())
        except (OSError, ValueError, RecursionError) as error:
            if isinstance(error, OSError) and error.errno in _NO_MORE:
                msg = (
                    f"{str(path)!r} cannot be opened ({reason_of(error)}): the larger files of a store stay open. "
                    "Raise the limit of open files (ulimit -n), or make a new store with more documents a call"
                )
                raise VectorStoreError(msg) from error
            self._refuse(f"cannot be read ({reason_of(error)})")
        self._metadata = header.pop("__metadata__", {}) if isinstance(header, dict) else {}
        if not isinstance(self._metadata, dict) or self._metadata.get("format") != _FORMAT:
            self._refuse("is no file of token vectors of this version")
        if not _NEEDED <= header.keys() <= _TYPES.keys() or not all(map(_is_entry, header.values())):
            self._refuse("has a header that names other tensors than a store writes: it is damaged")
        ends = [one["data_offsets"][1] for one in header.values()]
        if self.n_bytes != 8 + n_header + max(ends):
            self._refuse(f"has {self.n_bytes:,} bytes and should have {8 + n_header + max(ends):,}: it was cut off")
        self.arrays = {
            name: self._tensor(name, header[name], data[8 + n_header :]) for name in _TYPES if name in header
        }
        for name in ("windows", "truncated", "vectors", "spans"):
            # Small, and looked at one by one.
            self.arrays[name] = np.array(self.arrays[name])
        if not _fit(self.arrays):
            self._refuse("has numbers of documents, inputs and vectors that do not fit each other: it is damaged")
        raw = np.ascontiguousarray(self.arrays["digests"]).tobytes()
        self.digests = [raw[place : place + _DIGEST_BYTES] for place in range(0, len(raw), _DIGEST_BYTES)]
        self._first_window = np.concatenate([[0], np.cumsum(self.arrays["windows"])]).tolist()
        self._first_vector = np.concatenate([[0], np.cumsum(self.arrays["vectors"], dtype=np.int64)]).tolist()

    @property
    def n_vectors(self) -> int:
        """Vectors in it."""
        return len(self.arrays["rounded"])

    @property
    def dimensions(self) -> int:
        """Length of a vector."""
        return int(self.arrays["rounded"].shape[1])

    @property
    def is_there(self) -> bool:
        """Whether its path still leads to what was opened: not if it was removed, or written again."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return False
        return (found.st_mtime_ns, found.st_size) == (self._written_ns, self.n_bytes)

    def is_truncated(self, document: int) -> bool:
        """Return whether a part of a document is in no input."""
        return bool(self.arrays["truncated"][document])

    def windows_of(self, document: int) -> list[tuple[int, int, tuple[int, int] | None]]:
        """Return the first vector, the number of vectors and the characters of each input of a document."""
        found: list[tuple[int, int, tuple[int, int] | None]] = []
        for window in range(self._first_window[document], self._first_window[document + 1]):
            first, end = self._first_vector[window : window + 2]
            start, stop = self.arrays["spans"][window].tolist()
            found.append((first, end - first, None if start < 0 else (start, stop)))
        return found

    def verify(self) -> None:
        """Read everything and compare it with the checksum that was written with it.

        Raises:
            VectorStoreError: It is not what was written.
        """
        if _checksum(self.arrays) != self._metadata.get("checksum"):
            self._refuse("does not have the checksum that was written with it: it is damaged")

    def _tensor(self, name: str, entry: Mapping[str, Any], data: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        spelling, dtype = _TYPES[name]
        if entry["dtype"] != spelling:
            self._refuse(f"has {name} as {entry['dtype']}, expected {spelling}")
        shape, (first, end) = tuple(entry["shape"]), entry["data_offsets"]
        if end - first != math.prod(shape) * np.dtype(dtype).itemsize:
            self._refuse(f"has {end - first:,} bytes of {name} for the shape {shape}: it is damaged")
        return data[first:end].view(dtype).reshape(shape)

    def _refuse(self, why: str) -> NoReturn:
        msg = (
            f"{str(self.path)!r} {why}. Remove this file, and its documents are made again when they are added; the "
            "other files of the store are not touched"
        )
        raise VectorStoreError(msg)


def _bytes_of(path: Path) -> tuple[npt.NDArray[np.uint8], int]:
    """Return the bytes of a file, read if there are few, else mapped, which holds it open; and when it was written.

    Copy on write: torch takes no array that it could not write to, although nothing here writes.
    """
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if found.st_size <= _MOST_READ_BYTES:
            return np.frombuffer(bytearray(file.read()), dtype=np.uint8), found.st_mtime_ns
        mapped = mmap.mmap(file.fileno(), found.st_size, access=mmap.ACCESS_COPY)
        return np.frombuffer(mapped, dtype=np.uint8), found.st_mtime_ns


def _is_entry(entry: object) -> bool:
    """Return whether a member of a header says the type, the shape and the place of a tensor."""
    if not isinstance(entry, dict) or not isinstance(entry.get("dtype"), str):
        return False
    shape, place = entry.get("shape"), entry.get("data_offsets")
    if not isinstance(shape, list) or not isinstance(place, list) or len(place) != 2:
        return False
    return all(type(number) is int and number >= 0 for number in [*shape, *place])


def _fit(arrays: Mapping[str, npt.NDArray[Any]]) -> bool:
    """Return whether tensors have the shapes that they must have beside each other."""
    windows, vectors, rounded = (arrays[name] for name in ("windows", "vectors", "rounded"))
    if (windows.ndim, vectors.ndim, rounded.ndim) != (1, 1, 2) or (windows < 0).any() or (vectors < 0).any():
        return False
    shapes = {
        "digests": (len(windows), _DIGEST_BYTES),
        "truncated": windows.shape,
        "spans": (len(vectors), 2),
        "scales": (len(rounded),),
        "exact": rounded.shape,
    }
    is_counted = windows.sum(dtype=np.int64) == len(vectors) and vectors.sum(dtype=np.int64) == len(rounded)
    return bool(is_counted) and all(arrays[name].shape == shape for name, shape in shapes.items() if name in arrays)


def _checksum(arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    digest = blake2b(digest_size=16)
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()
