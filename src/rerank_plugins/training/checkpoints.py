"""Checkpoints that are whole, and whether an interrupted run may go on.

transformers writes the files of a checkpoint one after the other, in place. A mark that is written last, with the size
of each file, tells a whole checkpoint from one in the middle of which the process ended.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import write_atomically

__all__ = ["check_same_run", "is_whole", "mark_whole", "newest_whole", "sync_files"]

_MARK = "whole.json"
_PREFIX = "checkpoint-"


def mark_whole(checkpoint: Path) -> None:
    """Mark a checkpoint whose files are all written.

    Raises:
        OSError: A file cannot be read.
        InvalidInputError: The mark cannot be written.
    """
    sync_files(checkpoint)
    sizes = {path.relative_to(checkpoint).as_posix(): path.stat().st_size for path in _files(checkpoint)}
    write_atomically(checkpoint / _MARK, json.dumps(sizes).encode())


def is_whole(checkpoint: Path) -> bool:
    """Return whether all files of a checkpoint are there as they were when it was marked."""
    try:
        sizes = json.loads((checkpoint / _MARK).read_text(encoding="utf-8"))
        return all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def newest_whole(run_folder: Path) -> Path | None:
    """Return the whole checkpoint with the most steps, and remove those that are not whole; None if there is none."""
    whole: dict[int, Path] = {}
    for path in run_folder.glob(f"{_PREFIX}*"):
        step = path.name.removeprefix(_PREFIX)
        if step.isdigit() and is_whole(path):
            whole[int(step)] = path
        else:
            shutil.rmtree(path, ignore_errors=True)
    return whole[max(whole)] if whole else None


def sync_files(folder: Path) -> None:
    """Wait until the files of a folder are on the disk.

    Raises:
        OSError: One cannot be.
    """
    for path in _files(folder):
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def check_same_run(begun: Mapping[str, Any], now: Mapping[str, Any], *, folder: Path) -> None:
    """Refuse to go on with another run than the one that was begun.

    Args:
        begun: What decides the weights, as it was when the run began.
        now: The same now.
        folder: The run's folder, for the message.

    Raises:
        InvalidInputError: They differ; the message says in what.
    """
    names = sorted({*begun, *now})
    changed = [
        f"{name} was {begun.get(name)!r} and is {now.get(name)!r}" for name in names if begun.get(name) != now.get(name)
    ]
    if changed:
        msg = (
            f"the run in {str(folder)!r} was begun otherwise: {'; '.join(changed)}. Go on with what it was begun with, "
            "or remove that folder to begin anew"
        )
        raise InvalidInputError(msg)


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != _MARK]
