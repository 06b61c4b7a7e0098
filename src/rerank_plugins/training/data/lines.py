"""Lines of JSON from files of any size, one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.lines import numbered_lines

__all__ = ["JOURNAL_ENDING", "JSON_ENDINGS", "JsonLine", "data_files", "json_line", "json_lines"]

JSON_ENDINGS = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
JOURNAL_ENDING = ".job.json"
"""What a file in a folder of training data is called; others are left alone."""


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
    # A job of ours keeps its journal beside what it writes.
    files = sorted(
        one
        for one in path.iterdir()
        if one.is_file() and one.name.endswith(JSON_ENDINGS) and not one.name.endswith(JOURNAL_ENDING)
    )
    if not files:
        msg = f"folder {str(path)!r} has no file that ends with {', '.join(JSON_ENDINGS)}; name the files"
        raise InvalidInputError(msg)
    return files


def json_lines(path: Path) -> Iterator[JsonLine]:
    """Yield the lines of a file that are not blank; it may be compressed with gzip.

    Raises:
        InvalidInputError: The file cannot be read, or a line is not UTF-8.
    """
    for number, text in numbered_lines(path):
        yield JsonLine(text, path, number)


def json_line(value: Any, *, indent: int | None = None) -> bytes:
    """Return JSON in UTF-8 with a line feed behind it."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent).encode() + b"\n"
    except UnicodeEncodeError:
        # Half a surrogate pair has no UTF-8; JSON can write it as an escape.
        return json.dumps(value, indent=indent).encode() + b"\n"
