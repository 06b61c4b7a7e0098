"""Locks on files (flock): the system lets them go when a process ends, whatever ended it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from rerank_plugins.errors import InvalidInputError

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["HAS_LOCKS", "let_go", "lock_file", "take_lock"]

HAS_LOCKS = fcntl is not None
"""Whether this system has such locks; Windows has none."""


def lock_file(path: Path) -> int | None:
    """Lock a file that is written over a long time, so that no two processes write it.

    Args:
        path: The file; it is there.

    Returns:
        A descriptor to close when the file is done, or when the process ends; None where there are no such locks.

    Raises:
        InvalidInputError: Another process holds the lock.
    """
    if fcntl is None:
        return None
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(opened)
        msg = f"{str(path)!r} is being written by another process; wait for it, or name another file"
        raise InvalidInputError(msg) from error
    except OSError:  # a disk without locks
        os.close(opened)
        return None
    return opened


def take_lock(path: Path, *, waits: bool = False) -> int | None:
    """Return a descriptor that holds the lock of a file or folder; None if another one does, or there are no locks."""
    if fcntl is None:
        return None
    opened: int | None = None
    with suppress(OSError):
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        fcntl.flock(opened, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        return opened
    let_go(opened)
    return None


def let_go(lock: int | None) -> None:
    """Give a lock back; None is none."""
    if lock is not None:
        os.close(lock)
