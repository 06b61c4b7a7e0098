"""The folder of a job: what it does, and a part for each block that is done. The parts are the ledger.

::

    job.json                what is done with which files, and how they are cut
    parts/part-NNNNNNNN.*   the rows of one block, in the order of the input

A part is written aside and renamed, and a block's rows depend on nothing but the block and the task. Therefore a block
that was done twice leaves the same file, and one that was killed leaves none: each row is there exactly once.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_plugins.bulk.folders import JOB_FILE, PARTS, input_files
from rerank_plugins.bulk.inputs import Block, column_types, plan_blocks, read_block
from rerank_plugins.bulk.outputs import PartFormat, part_name, write_part
from rerank_plugins.bulk.tasks import BulkTask, RowWorker
from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count
from rerank_plugins.errors import InvalidInputError, RerankPluginsError
from rerank_plugins.system.files import made_folder, reason_of, write_atomically
from rerank_plugins.system.locks import lock_file

__all__ = ["BlockDone", "BulkJob", "JobFolder"]

_FORMAT = "rerank-plugins/bulk-job/1"
_SHOWN = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDone:
    """A block whose part is there.

    Attributes:
        number: Place among all blocks.
        n_rows: Its rows.
        seconds: What it took.
    """

    number: int
    n_rows: int
    seconds: float


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class BulkJob:
    """What is done with which rows.

    Attributes:
        task: What is done.
        inputs: Files of JSON lines or Parquet, or folders: of all such files in them and in their subfolders
            (:func:`~rerank_plugins.bulk.folders.input_files`).
        output: Folder of the output. On several machines it is on a disk that all of them see, and so are the inputs.
        part_format: Format of the output.
        rows_per_block: Rows that are read, run and written together. A block is what a kill loses.
    """

    task: BulkTask
    inputs: tuple[Path, ...]
    output: Path
    part_format: PartFormat = "parquet"
    rows_per_block: Count = 4_096

    def __post_init__(self) -> None:
        if not isinstance(self.task, BulkTask):
            msg = (
                f"task must be a ScoreTask, an EmbedTask or an object with columns, identity and opened(), got "
                f"{type(self.task).__name__}"
            )
            raise InvalidInputError(msg)

    @contextmanager
    def opened(self, *, restart: bool = False) -> Iterator[JobFolder]:
        """Plan the job or find the one that was begun, and lock its folder.

        Args:
            restart: Whether what is there is removed first.

        Raises:
            InvalidInputError: A file cannot be read, the folder holds another job or something else, or another process
                works on it.
        """
        blocks = plan_blocks(input_files(self.inputs, output=self.output), self.rows_per_block)
        folder = JobFolder(self.output, task=self.task, part_format=self.part_format)
        lock = lock_file(made_folder(self.output))
        try:
            folder.begin(self._description(blocks), restart=restart)
            folder.blocks = blocks
            yield folder
        finally:
            if lock is not None:
                os.close(lock)

    def _description(self, blocks: Sequence[Block]) -> dict[str, Any]:
        files = {block.path: Path(block.path).stat().st_size for block in blocks}
        return {
            "format": _FORMAT,
            **self.task.identity,
            "inputs": files,
            "sha256": {block.path: block.sha256 for block in blocks},  # the last block's is the whole file's
            "rows": sum(block.n_rows for block in blocks),
            "blocks": len(blocks),
            "rows_per_block": self.rows_per_block,
            "part_format": self.part_format,
        }


class JobFolder:
    """The folder of a job, on this machine or another.

    Args:
        folder: The folder.
        task: What is done.
        part_format: Format of the output.

    Attributes:
        blocks: All blocks of the job; empty on the machines that are only given single blocks.
    """

    def __init__(self, folder: Path, *, task: BulkTask, part_format: PartFormat) -> None:
        self.folder, self.task, self.part_format = folder.absolute(), task, part_format
        self.blocks: list[Block] = []

    def begin(self, description: dict[str, Any], *, restart: bool) -> None:
        """Write what the job is, unless it is there.

        Raises:
            InvalidInputError: Another job is there, or something else.
        """
        path, parts = self.folder / JOB_FILE, self.folder / PARTS
        if path.exists() and not restart:
            self._check(path, description)
            made_folder(parts)
            return
        if not path.exists() and any(self.folder.iterdir()):
            msg = f"{str(self.folder)!r} holds something that is no job; name a new folder"
            raise InvalidInputError(msg)
        if restart:
            _empty(parts)
        made_folder(parts)
        write_atomically(path, (json.dumps(description, indent=2) + "\n").encode())

    def pending(self) -> list[Block]:
        """Return the blocks that have no part."""
        there = {path.name for path in (self.folder / PARTS).iterdir()}
        return [block for block in self.blocks if part_name(block.number, self.part_format) not in there]

    def parts(self) -> list[Path]:
        """Return the files of the output that are there, in the order of the input."""
        return sorted((self.folder / PARTS).glob(f"part-*.{self.part_format}"))

    def run(self, block: Block, worker: RowWorker) -> None:
        """Read a block, run it, and write its part.

        Raises:
            RerankPluginsError: It cannot be read, run or written; the message says which rows.
        """
        rows = read_block(block, self.task.columns)
        path = self.folder / PARTS / part_name(block.number, self.part_format)
        types = column_types(block, getattr(self.task, "keep", ()))
        try:
            write_part(path, worker(rows), self.part_format, types, first_row=block.first_row)
        except RerankPluginsError as error:
            told = type(error)(f"{block.place}: {error}")
            vars(told).update(vars(error))  # what a service answered, and when to come again
            raise told from error

    def _check(self, path: Path, description: dict[str, Any]) -> None:
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            msg = f"{str(path)!r} cannot be read ({reason_of(error)}); name a new folder, or restart"
            raise InvalidInputError(msg) from error
        now = json.loads(json.dumps(description))
        # Blocks are numbered through the files, whose order an object of JSON keeps and == does not compare.
        if before == now and [*before["inputs"]] == [*now["inputs"]]:
            return
        shown = _differences(before, now) if isinstance(before, dict) else "no description"
        msg = f"{str(self.folder)!r} holds another job ({shown}); name a new folder, or restart"
        raise InvalidInputError(msg)


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    if before == now:
        return "inputs are in another order"
    names = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    if "inputs" in names and "sha256" in names:
        names.remove("sha256")  # which says the same
    return "; ".join(_difference(name, before.get(name), now.get(name)) for name in names)


def _difference(name: str, before: Any, now: Any) -> str:
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return f"{name} was {str(before)[:_SHOWN]} and is {str(now)[:_SHOWN]}"
    new, gone = [one for one in now if one not in before], [one for one in before if one not in now]
    changed = [one for one in now if one in before and before[one] != now[one]]
    told = [f"{_end(one)} is new" for one in new[:1]] + [f"{_end(one)} is no longer there" for one in gone[:1]]
    told += [f"{_end(one)} was {str(before[one])[:_SHOWN]} and is {str(now[one])[:_SHOWN]}" for one in changed[:1]]
    n_more = len(new) + len(gone) + len(changed) - len(told)
    return f"{name}: {', '.join(told)}{f', and {n_more} more' if n_more else ''}"


def _end(path: str) -> str:
    """Return the end of a path, which tells it from others."""
    return path if len(path) <= _SHOWN else "..." + path[-_SHOWN:]


def _empty(folder: Path) -> None:
    """Remove what is in a folder, which may be a link to another disk: a part that stayed would count as done.

    Raises:
        InvalidInputError: Something cannot be removed.
    """
    try:
        for path in folder.iterdir() if folder.exists() else ():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        msg = f"{str(folder)!r} cannot be emptied ({reason_of(error)}); remove it yourself, or name a new folder"
        raise InvalidInputError(msg) from error
