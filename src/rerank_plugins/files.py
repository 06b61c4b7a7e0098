"""Files that are whole or as before: whatever this package writes goes through here.

A full disk, a read-only folder or a killed process leaves no half-written file and no temporary one; the error says
what could not be written, and why.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from rerank_plugins.errors import InvalidInputError

__all__ = ["LineFile", "made_folder", "reason_of", "write_atomically", "write_with"]

_HELD_BYTES = 1 << 13


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is either complete or as before, also when the process or machine stops.

    Args:
        path: The file. Folders on the way are made; a link is followed; a device or pipe is written directly.
        data: Its contents.

    Raises:
        InvalidInputError: It cannot be written: no room, no permission, no folder.
    """
    try:
        path = path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        temporary = path.parent / f".writing-{uuid.uuid4().hex}"
        try:
            # Opened like any new file, so that the umask decides who may read it.
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a null byte; RuntimeError: a loop of links
        raise _cannot_write(path, error) from error


def write_with(path: Path, save: Callable[[Path], object]) -> Path:
    """Let a function that wants a path write a file that is whole or as before; returns the path.

    Args:
        path: The file; its ending is kept, since writers of pictures go by it.
        save: Called with the path to write; it writes one file there.

    Raises:
        InvalidInputError: It cannot be written.
    """
    made_folder(path.parent)
    temporary = path.with_name(f".writing-{uuid.uuid4().hex}{path.suffix}")
    try:
        save(temporary)
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def made_folder(path: Path) -> Path:
    """Make a folder, with those above it, and return it.

    Raises:
        InvalidInputError: It cannot be made, or is a file.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        msg = f"folder {str(path)!r} cannot be made ({reason_of(error)}); name another one"
        raise InvalidInputError(msg) from error
    return path


class LineFile:
    """Appends lines to a file of which only whole lines are ever left.

    Lines are held and written a few kilobytes at a time, and at the latest when the file is closed.

    Args:
        path: The file; made if it is not there.

    Raises:
        InvalidInputError: It cannot be opened; or, later, a line cannot be written. The lines before it are kept.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._held = path, bytearray()
        try:
            self._file = path.open("ab", buffering=0)
        except (OSError, ValueError) as error:
            raise _cannot_write(path, error) from error

    def write(self, line: str) -> None:
        """Append a line; its line feed is added."""
        self._held += line.encode() + b"\n"
        if len(self._held) >= _HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        size = os.fstat(self._file.fileno()).st_size
        held, self._held, written = bytes(self._held), bytearray(), 0
        try:
            while written < len(held):
                written += self._file.write(held[written:]) or 0
        except OSError as error:
            whole = held.rfind(b"\n", 0, written) + 1
            with suppress(OSError):  # a device has no size; a last broken line is also cut off by the next run
                self._file.truncate(size + whole)
            raise _cannot_write(self._path, error, kept=True) from error

    def __enter__(self) -> LineFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.flush()
        finally:
            self._file.close()


def _cannot_write(path: Path, error: Exception, *, kept: bool = False) -> InvalidInputError:
    way_out = "what was written before is kept: make room and run it again" if kept else "name another, or make room"
    return InvalidInputError(f"{str(path)!r} cannot be written ({reason_of(error)}); {way_out}")


def reason_of(error: Exception) -> str:
    """Return what the system says about an error; its own text where there is nothing else, as from NumPy."""
    return getattr(error, "strerror", None) or str(error)
