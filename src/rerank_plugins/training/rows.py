"""Training rows on disk: read once, checked, and then fetched by number, so that memory stays flat.

They are copied into one file beside the checkpoints: a compressed file cannot be read from the middle, and a run that
goes on must find the rows that it began with.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.tokenizer import is_blank
from rerank_plugins.training.data.lines import data_files, json_lines
from rerank_plugins.training.data.records import TrainingRecord, record_of
from rerank_plugins.training.settings import DataSettings

__all__ = ["Rows", "store_rows"]

_MOST_HELD_OUT = 500
_LEAST_HELD_OUT = 10


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows of a file, by number.

    Attributes:
        path: One JSON object a line.
        starts: Where each row begins, in bytes, and the file's length.
        places: For each row the number of its file and of its line.
        files: The files that they came from.
        digest: SHA-256 of the rows, in hexadecimal.
    """

    path: Path
    starts: array[int]
    places: array[int]
    files: tuple[Path, ...]
    digest: str

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> TrainingRecord:
        start, end = self.starts[row], self.starts[row + 1]
        # Opened each time: nothing is shared with worker processes, and the system keeps the pages anyway.
        with self.path.open("rb") as file:
            file.seek(start)
            return TrainingRecord.from_mapping(json.loads(file.read(end - start)))

    def where(self, row: int) -> str:
        """Return the place that a row came from, ``FILE:LINE``."""
        return f"{self.files[self.places[2 * row]]}:{self.places[2 * row + 1]}"


class _Store:
    """Collects rows in a file.

    Args:
        path: The file; what is there is written anew.
        files: Where the rows come from.
    """

    def __init__(self, path: Path, files: Sequence[Path]) -> None:
        self._path, self._files = path, tuple(files)
        self._starts, self._places = array("Q", [0]), array("Q")
        self._hash = hashlib.sha256()
        self._file = path.open("wb")

    def add(self, record: TrainingRecord, *, file: int, line: int) -> None:
        """Append a row."""
        data = json.dumps(record.to_mapping(), ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        self._file.write(data)
        self._hash.update(data)
        self._starts.append(self._starts[-1] + len(data))
        self._places.extend((file, line))

    def close(self) -> Rows:
        """Return the rows."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return Rows(self._path, self._starts, self._places, self._files, self._hash.hexdigest())


def store_rows(data: DataSettings, path: Path, *, holds_out: bool) -> tuple[Rows, tuple[TrainingRecord, ...]]:
    """Read and check all training data, and store it.

    Args:
        data: Which files, and what a row must have.
        path: Where the rows are stored.
        holds_out: Whether ``dev_fraction`` of the queries is held out.

    Returns:
        The rows to train on, and the rows held out; none where fewer than ten queries would be.

    Raises:
        InvalidInputError: A file cannot be read, a row cannot be trained on (the message names file and line), or
            there is no row.
    """
    files = data_files(list(data.train_data))
    try:
        rows, held = _stored(data, path, files, fraction=data.dev_fraction if holds_out else 0.0)
        if 0 < len({record.query for record in held}) < _LEAST_HELD_OUT:
            # Too few to tell anything: all are trained on.
            rows, held = _stored(data, path, files, fraction=0.0)
    except OSError as error:
        msg = f"the training rows cannot be stored in {str(path)!r} ({error.strerror or error}); make room there"
        raise InvalidInputError(msg) from error
    if not len(rows):
        msg = f"the training data has no row: {', '.join(map(str, files))}"
        raise InvalidInputError(msg)
    return rows, tuple(held)


def _stored(
    data: DataSettings, path: Path, files: Sequence[Path], *, fraction: float
) -> tuple[Rows, list[TrainingRecord]]:
    """Return the rows to train on, and those held out: a share of the queries by a hash, so it is the same anew."""
    store, held, queries = _Store(path, files), list[TrainingRecord](), set[str]()
    for number, file in enumerate(files):
        for line in json_lines(file):
            record = record_of(line)
            _check(record, data, where=line.where)
            # All rows of a query are on one side.
            if _hash(record.query) < fraction and (record.query in queries or len(held) < _MOST_HELD_OUT):
                queries.add(record.query)
                held.append(record)
            else:
                store.add(record, file=number, line=line.number)
    return store.close(), held


def _hash(query: str) -> float:
    """Return a number from 0 to 1 that a query has in every run."""
    return int.from_bytes(hashlib.sha256(query.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64


def _check(record: TrainingRecord, data: DataSettings, *, where: str) -> None:
    """Refuse a row that has no group, or no teacher where one is learnt from."""
    if is_blank(record.query):
        raise _refused(where, "the query is blank")
    for name, texts in (("pos", record.pos), ("neg", record.neg)):
        if not texts:
            raise _refused(where, f"{name!r} is empty; a group needs a positive and a negative")
        if any(map(is_blank, texts)):
            raise _refused(where, f"a text in {name!r} is blank")
    if not data.knowledge_distillation:
        return
    scores = [*(record.pos_scores or ()), *(record.neg_scores or ())]
    if record.pos_scores is None or record.neg_scores is None:
        raise _refused(where, "knowledge_distillation needs pos_scores and neg_scores in every row")
    if data.teacher_scale == "probability" and not all(0 <= score <= 1 for score in scores):
        raise _refused(where, f"a teacher's score of {min(scores)} to {max(scores)} is no probability (teacher_scale)")


def _refused(where: str, problem: str) -> InvalidInputError:
    return InvalidInputError(f"{where}: {problem}; repair the row, or take it out")
