"""Atomic writes: every file that this package writes is either complete or unchanged.

A full disk or a read-only folder leaves no half-written file and no temporary one; the error says what could not be
written, and why. What a killed process leaves beside a file is removed when that file is written again. A temporary
file is locked while its process lives (flock, which the system lets go when a process ends, whatever ended it), so that
none is taken from a living one, in another container on the same disk neither. Without such locks (Windows, some
network disks) nothing is removed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.locks import HAS_LOCKS, let_go, take_lock

__all__ = [
    "LineFile",
    "made_folder",
    "reason_of",
    "scratch_folder",
    "sweep_leftovers",
    "write_atomically",
    "write_folder_with",
    "write_new",
    "write_with",
]

_HELD_BYTES = 1 << 13
_WRITING = ".writing-"


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
        with _claimed_file(path) as temporary:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a null byte; RuntimeError: a loop of links
        raise _cannot_write(path, error) from error


def write_new(path: Path, data: bytes) -> bool:
    """Write a file that is not there yet, whole or not at all; returns whether this call wrote it.

    Of several processes that try at once one succeeds, and what it wrote stays. (Where a disk has no hard links,
    the last of those that try within the same moment does.)

    Args:
        path: The file. Folders on the way are made.
        data: Its contents.

    Raises:
        InvalidInputError: It cannot be written: no room, no permission, no folder.
    """
    made_folder(path.parent)
    try:
        with _claimed_file(path) as temporary:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, path)
            except FileExistsError:
                return False
            except OSError:
                if path.exists():
                    return False
                temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    return True


def write_with(path: Path, save: Callable[[Path], object]) -> Path:
    """Let a function that wants a path write a file that is whole or as before; returns the path.

    Args:
        path: The file; its ending is kept, since writers of pictures go by it. A link is followed, and a pipe gets the
            whole when it is made.
        save: Called with the path to write; it writes one file there.

    Raises:
        InvalidInputError: It cannot be written.
    """
    try:
        target = path.resolve()
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a null byte; RuntimeError: a loop of links
        raise _cannot_write(path, error) from error
    made_folder(target.parent)
    try:
        if target.exists() and not target.is_file():
            with TemporaryDirectory(prefix="rerank-plugins-") as folder:
                made = Path(folder) / path.name
                save(made)
                with made.open("rb") as data, target.open("wb") as out:
                    shutil.copyfileobj(data, out)
            return path
        with _claimed_file(target, suffix=path.suffix) as temporary:
            save(temporary)
            temporary.replace(target)
    except OSError as error:
        raise _cannot_write(path, error) from error
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


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Make a folder beside ``path`` in which its next contents can be put together; it is gone afterwards.

    Args:
        path: The folder or file that will be replaced; what killed processes left of earlier attempts goes once this
            one has succeeded, and not before, since they may have died between taking the old away and putting the new.

    Raises:
        OSError: It cannot be made.
    """
    start = _start_of_names(path)
    scratch, lock = _claimed(path.parent, start, make=lambda new: new.mkdir(mode=0o700))
    try:
        yield scratch
        _sweep(path.parent, start)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        let_go(lock)


def write_folder_with(path: Path, save: Callable[[Path], object]) -> Path:
    """Let a function fill a folder that is whole or as before; returns the path.

    Args:
        path: The folder; one that is there is replaced. Its files get the mode that new ones get, whatever writes them:
            safetensors keeps its own to their owner.
        save: Called with an empty folder beside it, which then takes its place.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(path) as scratch:
        written, aside = scratch / "new", scratch / "old"
        written.mkdir()
        save(written)
        _open_to_readers(written)
        if path.exists():
            shutil.move(path, aside)
        try:
            written.rename(path)
        except OSError:
            if aside.exists():
                shutil.move(aside, path)
            raise
    return path


class LineFile:
    """Appends lines to a file of which only whole lines are ever left.

    Lines are held and written a few kilobytes at a time, and at the latest when the file is closed.

    Args:
        path: The file; made if it is not there, and so are folders on the way.

    Raises:
        InvalidInputError: It cannot be opened; or, later, a line cannot be written. The lines before it are kept.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._held = path, bytearray()
        made_folder(path.parent)
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


@contextmanager
def _claimed_file(path: Path, *, suffix: str = "") -> Iterator[Path]:
    """Make a new, locked, empty file beside ``path``, and remove what killed processes left there for ``path``."""
    start = _start_of_names(path)
    _sweep(path.parent, start)
    # Opened like any new file, so that the umask decides who may read it.
    temporary, lock = _claimed(path.parent, start, suffix=suffix, make=lambda new: new.open("xb").close())
    try:
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        let_go(lock)


def _claimed(folder: Path, start: str, *, make: Callable[[Path], object], suffix: str = "") -> tuple[Path, int | None]:
    """Make a file or folder by a name that nobody has, and lock it; returns its path and the lock."""
    while True:
        made = folder / f"{start}{uuid.uuid4().hex}{suffix}"
        make(made)
        lock = take_lock(made, waits=True)
        # Before it was locked, another process may have removed it as a dead process's file.
        if made.exists():
            return made, lock
        let_go(lock)


def _start_of_names(path: Path) -> str:
    """Return how the names of temporary files for ``path`` begin: short, whatever its own name is."""
    return f"{_WRITING}{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}-"


def _open_to_readers(folder: Path) -> None:
    probe = folder / f"{_WRITING}{uuid.uuid4().hex}"
    probe.touch()
    mode = probe.stat().st_mode
    probe.unlink()
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(mode)


def sweep_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed processes from a folder, whichever file each was for.

    Writing a file does so for that file alone. Names that are made of contents do not come again.
    """
    _sweep(folder, _WRITING)


def _sweep(folder: Path, start: str) -> None:
    """Remove the temporary files and folders whose process has ended."""
    if not HAS_LOCKS:
        return
    for left in list(folder.glob(f"{start}*")):
        lock = take_lock(left)
        if lock is None:
            continue
        with suppress(OSError):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        let_go(lock)


def _cannot_write(path: Path, error: Exception, *, kept: bool = False) -> InvalidInputError:
    way_out = "what was written before is kept: make room and run it again" if kept else "name another, or make room"
    return InvalidInputError(f"{str(path)!r} cannot be written ({reason_of(error)}); {way_out}")


def reason_of(error: Exception) -> str:
    """Return what the system says about an error; its own text where there is nothing else, as from NumPy."""
    return getattr(error, "strerror", None) or str(error)
