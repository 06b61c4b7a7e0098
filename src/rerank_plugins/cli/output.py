"""What the terminal or the pipe at the other end can take."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from rich.console import Console

from rerank_plugins.errors import InvalidInputError

__all__ = ["can_print_any", "check_output", "table_console", "tolerate_encodings"]

_TABLE_WIDTH = 160


def table_console() -> Console:
    """Return a console for wide tables; elsewhere than in a terminal they get the width that they need."""
    is_told = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console() if is_told else Console(width=_TABLE_WIDTH)


def can_print_any(console: Console) -> bool:
    """Return whether every character can be written; if not, JSON is written in ASCII."""
    return console.encoding.startswith("utf")


def tolerate_encodings() -> None:
    """Let characters that an output cannot hold become ``?`` instead of an error after minutes of work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def check_output(path: Path, *, data: Path) -> None:
    """Raise InvalidInputError unless a file can be written and is not the data; an existing one keeps its contents."""
    existed = path.exists()
    if existed and data.exists() and path.samefile(data):
        msg = f"{str(path)!r} is the file that is read; write into another"
        raise InvalidInputError(msg)
    try:
        with path.open("a", encoding="utf-8"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        msg = f"{str(path)!r} cannot be written ({error.strerror}); name another file, or make its folder"
        raise InvalidInputError(msg) from error
