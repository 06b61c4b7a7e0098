"""Lines of JSON from files of any size, one at a time."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import reason_of

__all__ = ["JSON_ENDINGS", "JsonLine", "data_files", "json_lines", "json_value"]

JSON_ENDINGS = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
"""What a file in a folder of training data is called; others are left alone."""

_GZIP_START = b"\x1f\x8b"


class JsonLine(NamedTuple):
    """One line that is not blank."""

    text: str
    path: Path
    number: int

    @property
    def where(self) -> str:
        """The place as errors name it: ``FILE:LINE``, lines from 1."""
        return f"{self.path}:{self.number}"


def data_files(sources: str | Path | Sequence[str | Path]) -> list[Path]:
    """Return the files of one or several paths; a folder stands for the JSON files in it, sorted by name.

    Raises:
        InvalidInputError: A path is not there, a folder has no JSON file, or there is no path at all.
    """
    paths = [sources] if isinstance(sources, (str, Path)) else list(sources)
    if not paths:
        msg = "no training data was named; give at least one file"
        raise InvalidInputError(msg)
    return [file for path in paths for file in _files_of(Path(path))]


def _files_of(path: Path) -> list[Path]:
    if not path.is_dir():
        if not path.exists():
            msg = f"training data {str(path)!r} is not there; check the path"
            raise InvalidInputError(msg)
        return [path]
    files = sorted(one for one in path.iterdir() if one.is_file() and one.name.endswith(JSON_ENDINGS))
    if not files:
        msg = f"folder {str(path)!r} has no file that ends with {', '.join(JSON_ENDINGS)}; name the files"
        raise InvalidInputError(msg)
    return files


def json_lines(path: Path) -> Iterator[JsonLine]:
    """Yield the lines of a file that are not blank; what is compressed with gzip is told by its first bytes.

    Raises:
        InvalidInputError: The file cannot be read, or a line is not UTF-8.
    """
    with _opened(path) as file:
        # Only line feeds end a line: texts hold other characters that str.splitlines would cut at.
        for number, line in enumerate(_lines_of(file, path), start=1):
            text = _decoded(line, where=f"{path}:{number}", is_first=number == 1)
            if text.strip():
                yield JsonLine(text.rstrip("\r\n"), path, number)


def json_value(line: JsonLine) -> object:
    """Return what a line holds.

    Raises:
        InvalidInputError: It is not JSON.
    """
    try:
        return json.loads(line.text)
    except (json.JSONDecodeError, RecursionError, ValueError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else error
        msg = f"{line.where}: not JSON ({reason}); each line holds one whole object"
        raise InvalidInputError(msg) from error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as raw:
            # Peeked, not read: a pipe cannot go back.
            is_packed = raw.peek(2)[:2] == _GZIP_START
            yield cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if is_packed else raw
    except OSError as error:
        msg = f"training data {str(path)!r} cannot be read ({reason_of(error)}); check the path and its permissions"
        raise InvalidInputError(msg) from error


def _lines_of(file: BinaryIO, path: Path) -> Iterator[bytes]:
    try:
        yield from file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        msg = f"training data {str(path)!r} is not whole ({error}); fetch or compress it again"
        raise InvalidInputError(msg) from error


def _decoded(line: bytes, *, where: str, is_first: bool) -> str:
    try:
        return line.decode("utf-8-sig" if is_first else "utf-8")
    except UnicodeDecodeError as error:
        msg = f"{where}: not UTF-8 (byte {error.start}); convert the file, for example with iconv"
        raise InvalidInputError(msg) from error
