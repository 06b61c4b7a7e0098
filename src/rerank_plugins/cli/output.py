"""Output that fits the terminal, file or pipe that it goes to."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from rerank_plugins.display.terminal import Screen
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import made_folder, reason_of

__all__ = ["can_print_any", "check_output", "fail", "table_console", "tolerate_encodings"]

_TABLE_WIDTH = 160


def table_console() -> Screen:
    """Return a console for wide tables. Outside a terminal they are as wide as they need to be."""
    # A process may be started without standard output.
    out: TextIO | None = sys.stdout
    has_width = (out is not None and out.isatty()) or "COLUMNS" in os.environ
    return Screen() if has_width else Screen(width=_TABLE_WIDTH)


def can_print_any(console: Screen) -> bool:
    """Return whether every character can be written; if not, JSON is written in ASCII."""
    return console.encoding.startswith("utf")


def tolerate_encodings() -> None:
    """Let characters that an output cannot hold become ``?`` instead of an error after minutes of work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def fail(message: str) -> int:
    """Print an error on stderr and return the exit status that goes with it."""
    with suppress(OSError):  # stderr may be closed; the exit status still reports the error
        Screen(stderr=True).print(f"error: {message}", soft_wrap=True)
    return 2


def check_output(path: Path, *, data: Path) -> None:
    """Raise InvalidInputError unless a file can be written and is not the data; nothing is changed.

    Folders on the way that are not there will be made when it is written.
    """
    existed = path.exists()
    if existed and data.exists() and path.samefile(data):
        msg = f"{str(path)!r} is the file that is read; write into another"
        raise InvalidInputError(msg)
    absent = [folder for folder in path.parents if not folder.exists()]
    try:
        made_folder(path.parent)
        with path.open("a", encoding="utf-8"):
            pass
        if not existed:
            path.unlink()
    except InvalidInputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        msg = f"{str(path)!r} cannot be written ({reason_of(error)}); name another file"
        raise InvalidInputError(msg) from error
    finally:
        for folder in absent:
            with suppress(OSError, ValueError):
                folder.rmdir()
