"""Work on the rows of a file that goes on after it was killed: nothing is lost, and nothing is done twice.

Rows are appended to the output a block at a time. The journal beside it (``NAME.job.json``) is replaced after each
block, and says the settings of the job, how many rows and bytes are done, and what was counted. A run that goes on cuts
off what the journal does not know of: the block in which the last one died. Rows that could not be done for now are
left out and their numbers kept in the journal; what comes of them later stands at the end of the output.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import made_folder, reason_of, write_atomically
from rerank_plugins.system.locks import lock_file
from rerank_plugins.training.data.lines import JOURNAL_ENDING, JSON_ENDINGS

__all__ = ["RowJob", "check_job_output", "journal_of"]

_SETTINGS, _ROWS, _BYTES, _COUNTS, _FINISHED = "asked", "rows", "bytes", "counts", "finished"
_LEFT = "left"
"""Key of the numbers of rows that were left; it is there where some are."""
_SHOWN = 80


_KINDS = {_SETTINGS: dict, _ROWS: int, _BYTES: int, _COUNTS: dict, _FINISHED: bool}
"""What a journal holds."""


def journal_of(output: Path) -> Path:
    """Return the path of an output's journal."""
    return output.with_name(output.name + JOURNAL_ENDING)


def check_job_output(output: Path, sources: Sequence[Path], *, restart: bool) -> None:
    """Refuse an output that cannot be one, before anything is read.

    Args:
        output: The file to write.
        sources: Files and folders that are read.
        restart: Whether an output of an earlier run is replaced.

    Raises:
        InvalidInputError: It is one of the sources, a folder, compressed, or somebody else's file.
    """
    if output.suffix == ".gz":
        msg = f"{str(output)!r} would be compressed, and rows cannot be appended to that; write a .jsonl"
        raise InvalidInputError(msg)
    if not output.name.endswith(JSON_ENDINGS):
        msg = f"{str(output)!r} does not end with .jsonl or .json, by which training data is found; rename it"
        raise InvalidInputError(msg)
    if output.is_dir():
        msg = f"{str(output)!r} is a folder; name a file"
        raise InvalidInputError(msg)
    # Of a folder in BEIR layout files of certain names are read, and of others all.
    folders = (one for one in sources if one.is_dir() and not (one / "corpus.jsonl").is_file())
    inside = [one for one in folders if output.resolve().parent == one.resolve()]
    if inside:
        msg = f"{str(output)!r} would be one of the files of {str(inside[0])!r}, which is read; write it elsewhere"
        raise InvalidInputError(msg)
    if not output.exists():
        return
    if any(one.is_file() and output.samefile(one) for one in sources):
        msg = f"{str(output)!r} is the data that is read; write into another file"
        raise InvalidInputError(msg)
    # A process that dies early leaves an empty file without a journal.
    if output.stat().st_size and _read_journal(output) is None:
        way_out = "name another output" if restart else "name another output, or delete it"
        msg = f"{str(output)!r} is there already and no journal says that this command wrote it; {way_out}"
        raise InvalidInputError(msg)


class RowJob:
    """The output of one run, or of several that went on where the one before was stopped.

    Args:
        output: The file that rows are appended to.
        job_settings: What the rows depend on, as plain values; an earlier run must have had the same.
        restart: Whether what an earlier run wrote is thrown away.

    Attributes:
        n_done: Rows that are written.
        n_found: Rows that were there when the job was opened.
        left: Numbers of the rows that were left, in their order.
        counts: What was counted over all runs.
        is_finished: Whether all rows are written.

    Raises:
        InvalidInputError: The earlier run had other settings (the message says which), its output is shorter than
            its journal says, another process is writing it, or it cannot be written.
    """

    def __init__(self, output: Path, job_settings: Mapping[str, Any], *, restart: bool = False) -> None:
        self.output, self._job_settings = output, _plain(job_settings)
        before = None if restart else _read_journal(output)
        if before is not None:
            _check_same(output, before[_SETTINGS], self._job_settings)
        made_folder(output.parent)
        try:
            self._file = output.open("ab", buffering=0)
        except OSError as error:
            raise _cannot_write(output, error) from error
        self._lock: int | None = None
        try:
            self._lock = lock_file(output)
            self._begin(before)
        except BaseException:
            self.close()
            raise

    def _begin(self, before: dict[str, Any] | None) -> None:
        known: dict[str, Any] = before or {}
        self.n_done: int = known.get(_ROWS, 0)
        self.n_found = self.n_done
        self.left: list[int] = list(known.get(_LEFT, ()))
        self.counts = Counter[str](known.get(_COUNTS, {}))
        self.is_finished: bool = known.get(_FINISHED, False)
        self._n_bytes: int = known.get(_BYTES, 0)
        size = os.fstat(self._file.fileno()).st_size
        if size < self._n_bytes:
            msg = (
                f"{str(self.output)!r} has {size} bytes, and its journal says {self._n_bytes}: it was changed; begin "
                "again with restart=True (--restart)"
            )
            raise InvalidInputError(msg)
        # The journal first: a process that dies in between must not leave one that promises more than there is.
        self._note()
        self._file.truncate(self._n_bytes)

    @property
    def n_read(self) -> int:
        """Rows of the source that were written or left."""
        return self.n_done + len(self.left)

    def append(
        self, lines: Sequence[bytes], counts: Mapping[str, int] | None = None, *, left: Sequence[int] = ()
    ) -> None:
        """Write a block of rows.

        Args:
            lines: One line a row, each with its line feed.
            counts: What was counted for these rows; it is added up.
            left: Numbers of rows of the block that could not be done.

        Raises:
            InvalidInputError: They cannot be written. What was written before is kept.
        """
        self._write(lines)
        self.left += left
        self.counts.update(counts or {})
        self._note()

    def settle(self, number: int, line: bytes, counts: Mapping[str, int] | None = None) -> None:
        """Write a row that was left before.

        Args:
            number: Its number.
            line: Its line, with its line feed.
            counts: What was counted for it; it is added up.

        Raises:
            InvalidInputError: It cannot be written. What was written before is kept.
        """
        self._write([line])
        self.left.remove(number)
        self.counts.update(counts or {})
        self._note()

    def _write(self, lines: Sequence[bytes]) -> None:
        data = b"".join(lines)
        try:
            written = 0
            while written < len(data):
                written += self._file.write(data[written:]) or 0
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _cannot_write(self.output, error) from error
        self._n_bytes += len(data)
        self.n_done += len(lines)

    def finish(self) -> None:
        """Say that all rows are written."""
        self.is_finished = True
        self._note()

    def close(self) -> None:
        """Let others write the output."""
        self._file.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> RowJob:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _note(self) -> None:
        state = {
            _SETTINGS: self._job_settings,
            _ROWS: self.n_done,
            _BYTES: self._n_bytes,
            _COUNTS: dict(self.counts),
            _FINISHED: self.is_finished,
        }
        if self.left:
            state[_LEFT] = self.left
        write_atomically(journal_of(self.output), (json.dumps(state, indent=2) + "\n").encode())


def _read_journal(output: Path) -> dict[str, Any] | None:
    """Return what the journal of an output says; None if there is none, or the output is gone."""
    try:
        state = json.loads(journal_of(output).read_bytes())
    except (OSError, ValueError):
        return None
    is_one = isinstance(state, dict) and all(isinstance(state.get(name), kind) for name, kind in _KINDS.items())
    return state if is_one and output.is_file() else None


def _check_same(output: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changes = "; ".join(_differences("", before, now))
    if changes:
        msg = (
            f"{str(output)!r} was begun with something else ({changes}); ask the same again, name another output, or "
            "begin anew with restart=True (--restart)"
        )
        raise InvalidInputError(msg)


def _differences(name: str, before: Any, now: Any) -> Iterator[str]:
    """Yield what differs, in words, with the place in nested values."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*before, *now)):
            yield from _differences(f"{name}.{key}" if name else key, before.get(key), now.get(key))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for place, pair in enumerate(zip(before, now, strict=True)):
            yield from _differences(f"{name}[{place}]", *pair)
    elif before != now:
        yield f"{name} was {_shown(before)}, is {_shown(now)}"


def _shown(value: object) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "..."


def _plain(job_settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as a file gives them back, so that they can be compared with those in one."""
    plain: dict[str, Any] = json.loads(json.dumps(job_settings, default=str))
    return plain


def _cannot_write(path: Path, error: OSError) -> InvalidInputError:
    msg = f"{str(path)!r} cannot be written ({reason_of(error)}); the rows before are kept: make room and run it again"
    return InvalidInputError(msg)
