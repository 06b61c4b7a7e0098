"""Lines of text files of any size, one at a time, compressed with gzip or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import reason_of

__all__ = ["is_row", "numbered_lines"]

_GZIP_START = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def is_row(line: bytes) -> bool:
    """Return whether a line is more than white space; an empty file of some editors is a byte order mark."""
    return bool(line.removeprefix(_BYTE_ORDER_MARK).strip())


def numbered_lines(path: Path, *, hint: str = "check the path and its permissions") -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their number from 1 and without what ends them.

    Args:
        path: The file; gzip is recognised by its first bytes.
        hint: The way out if it cannot be read.

    Raises:
        InvalidInputError: The file cannot be read, is not whole, or a line is not UTF-8.
    """
    with _opened(path, hint) as file:
        # Only line feeds end a line: texts hold other characters that str.splitlines would cut at.
        for number, line in enumerate(_lines_of(file, path), start=1):
            text = _decoded(line, path, number)
            if text.strip():
                yield number, text.rstrip("\r\n")


@contextmanager
def _opened(path: Path, hint: str) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as raw:
            # Peeked, not read: a pipe cannot go back.
            is_packed = raw.peek(2)[:2] == _GZIP_START
            yield cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if is_packed else raw
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        if isinstance(error, InvalidInputError):
            raise
        msg = f"{path} could not be read ({reason_of(error)}); {hint}"
        raise InvalidInputError(msg) from error


def _lines_of(file: BinaryIO, path: Path) -> Iterator[bytes]:
    try:
        yield from file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        msg = f"{path} could not be read to its end ({error}): it is cut off or damaged; fetch or compress it again"
        raise InvalidInputError(msg) from error


def _decoded(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        msg = (
            f"{path} could not be read as UTF-8 text (line {number}, byte {error.start}); convert it, for example "
            "with iconv"
        )
        raise InvalidInputError(msg) from error
