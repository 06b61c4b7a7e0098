"""Which files a job reads: those that are named, and all of the known formats in folders that are named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import reason_of

__all__ = ["JOB_FILE", "PARTS", "input_files", "is_parquet"]

JOB_FILE, PARTS = "job.json", "parts"
"""What the folder of a job holds."""

_LINES, _PARQUET = (".jsonl", ".ndjson"), ".parquet"
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zstd", ".zip", ".lz4", ".lzma", ".snappy")


def is_parquet(path: str) -> bool:
    """Return whether a file is Parquet, by its name; else it is JSON lines."""
    return path.lower().endswith(_PARQUET)


def input_files(paths: Sequence[Path], *, output: Path | None = None) -> list[Path]:
    """Return the files of paths, of which folders stand for all files of a known format in them and below.

    A folder's own files come first, by name, then those of its subfolders, by name. Left out are files and folders
    whose names begin with a dot, folders whose names begin with an underscore (Spark keeps there what is not done),
    and the job's own output. Links are followed; a folder that is reached twice is read once.

    Args:
        paths: Files, and folders.
        output: Folder of the job's output.

    Raises:
        InvalidInputError: One is not there, cannot be read, is of another format or named twice, or there is none.
    """
    files: list[Path] = []
    for path in paths:
        try:
            files += _files_of(path, output) if path.is_dir() else [_named(path)]
        except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
            where = getattr(error, "filename", None) or path
            msg = f"{str(where)!r} cannot be read ({reason_of(error)}); its rows would be left out"
            raise InvalidInputError(msg) from error
    if not files:
        msg = f"no .jsonl, .ndjson or .parquet file in {', '.join(map(str, paths)) or 'no path'}"
        raise InvalidInputError(msg)
    doubled = [one for one, count in Counter(one.resolve() for one in files).items() if count > 1]
    if doubled:
        msg = (
            f"{str(doubled[0])!r} is named twice, and its rows would be there twice; a folder stands for all files in "
            "it and in its subfolders"
        )
        raise InvalidInputError(msg)
    return [_identity(one) for one in files]


def _named(path: Path) -> Path:
    if not _is_known(path):
        raise _no_input(path)
    if not path.is_file():
        msg = f"{str(path)!r} is not there; name a file of JSON lines or Parquet, or a folder of them"
        raise InvalidInputError(msg)
    return path


def _files_of(folder: Path, output: Path | None) -> Iterator[Path]:
    """Yield the files of a folder that are read; raise for rows that would be left out without a word."""
    waiting = [folder]
    # The parts may be a link to another disk.
    seen = {_key(one) for one in (output, output / PARTS) if one.is_dir()} if output is not None else set()
    while waiting:
        current = waiting.pop()
        if current is not folder and _key(current) in seen:
            continue
        seen.add(_key(current))
        if current is not folder and (current / JOB_FILE).is_file() and (current / PARTS).is_dir():
            msg = (
                f"{str(current)!r} is the output of another job, in a folder that is read; move it elsewhere, or name "
                "the files and folders one by one"
            )
            raise InvalidInputError(msg)
        inside = []
        for one in sorted(current.iterdir()):
            if one.name.startswith("."):
                continue
            if not one.is_dir():
                yield from _if_rows(one)
            elif not one.name.startswith("_"):
                inside.append(one)
        waiting += inside[::-1]


def _if_rows(path: Path) -> Iterator[Path]:
    if _is_known(path):
        if not path.is_file():
            # To open a pipe would wait for whoever writes into it.
            what = "no file, but a pipe, a device or a link that leads nowhere"
            msg = f"{str(path)!r} is {what}; remove it, or name the files one by one"
            raise InvalidInputError(msg)
        yield path
    elif path.suffix.lower() in _PACKED and _is_known(Path(path.stem)):
        raise _no_input(path)


def _is_known(path: Path) -> bool:
    return path.suffix.lower() in (*_LINES, _PARQUET)


def _key(folder: Path) -> tuple[int, int]:
    stat = folder.stat()
    return stat.st_dev, stat.st_ino


def _identity(path: Path) -> Path:
    """Return the path that a job knows a file by.

    It is the file's own, whatever links lead to it, unless that has lost the ending that tells the format: caches of
    downloads keep files by their digests, and name them by links.
    """
    own = path.resolve()
    tells_format = _is_known(own) and is_parquet(own.name) == is_parquet(path.name)
    return own if tells_format else path.parent.resolve() / path.name


def _no_input(path: Path) -> InvalidInputError:
    msg = (
        f"{str(path)!r} is neither JSON lines (.jsonl) nor Parquet (.parquet); a compressed file cannot be "
        "read from its middle: unpack it, or convert it to Parquet"
    )
    return InvalidInputError(msg)
