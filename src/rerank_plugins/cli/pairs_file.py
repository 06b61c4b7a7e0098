"""Reads pairs from JSON lines, of a file or standard input. Errors name the number of the line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, TextIO

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.lines import is_row

__all__ = ["STANDARD_STREAM", "PairLines", "PairsFile", "read_facts", "standard_input"]

STANDARD_STREAM = "-"
"""The name that means standard input, or standard output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsFile:
    """What is known of a file of pairs before they are scored.

    Attributes:
        n_pairs: Its lines that are not blank; None for standard input, or a pipe.
        sha256: Of its bytes, in hexadecimal; None likewise.
    """

    n_pairs: int | None = None
    sha256: str | None = None


def read_facts(path: Path) -> PairsFile:
    """Read a file once for its facts; standard input or a pipe, which can be read only once, is left alone.

    Raises:
        InvalidInputError: It cannot be read.
    """
    if _is_read_once(path):
        return PairsFile()
    n_pairs, digest = 0, sha256()
    with _opened(path) as file:
        for line in file:
            n_pairs += is_row(line)
            digest.update(line)
    return PairsFile(n_pairs=n_pairs, sha256=digest.hexdigest())


class PairLines:
    """The pairs of a file, or of standard input for ``-``.

    A line that is no pair ends the iteration, so that everything before it is still scored; :meth:`check` then raises.

    Args:
        path: The file.
        skip: Pairs at the beginning that are left out; they are not read as JSON.
    """

    def __init__(self, path: Path, *, skip: int = 0) -> None:
        self._path, self._skip = path, skip
        self._problem: InvalidInputError | None = None

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        name, n_seen = "stdin" if str(self._path) == STANDARD_STREAM else str(self._path), 0
        with _opened(self._path) as file:
            for number, line in enumerate(file, start=1):
                if not is_row(line):
                    continue
                n_seen += 1
                if n_seen <= self._skip:
                    continue
                try:
                    pair = _pair(line, place=f"{name}, line {number}", is_first=number == 1)
                except InvalidInputError as error:
                    self._problem = error
                    return
                yield pair

    def check(self) -> None:
        """Raise InvalidInputError if the iteration ended at a line that is no pair."""
        if self._problem is not None:
            raise self._problem


def standard_input() -> BinaryIO:
    """Return standard input.

    Raises:
        InvalidInputError: It is closed.
    """
    # The annotation of the standard library leaves out that a process may be started without one.
    stream: TextIO | None = sys.stdin
    if stream is None:
        msg = "standard input is closed, and - reads it; name a file, or pipe the lines in"
        raise InvalidInputError(msg)
    return stream.buffer


def _is_read_once(path: Path) -> bool:
    """Return whether what was read is gone: of standard input, a pipe such as the shell's ``<(command)``, a device."""
    if str(path) == STANDARD_STREAM:
        return True
    with suppress(OSError):  # told when it is opened
        return path.is_fifo() or path.is_char_device()
    return False


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if str(path) == STANDARD_STREAM:
        yield standard_input()
        return
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        msg = f"pairs {str(path)!r} cannot be read ({getattr(error, 'strerror', None) or error}); give JSON lines, or -"
        raise InvalidInputError(msg) from error
    with file:
        yield file


def _pair(line: bytes, *, place: str, is_first: bool) -> tuple[str, str | None]:
    try:
        row = json.loads(line.decode("utf-8-sig" if is_first else "utf-8"))
    except UnicodeDecodeError as error:
        msg = f"{place}: not UTF-8 (byte {error.start}); convert it, for example with iconv"
        raise InvalidInputError(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"{place}: not JSON ({error})"
        raise InvalidInputError(msg) from error
    is_pair = isinstance(row, dict) and isinstance(row.get("query"), str) and "document" in row
    if not is_pair or not isinstance(row["document"], (str, type(None))):
        msg = f'{place}: expected {{"query": ..., "document": ...}}, both texts (a document may be null)'
        raise InvalidInputError(msg)
    return row["query"], row["document"]
