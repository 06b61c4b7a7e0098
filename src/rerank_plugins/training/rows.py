"""Training rows on disk: read once, checked, and then fetched by number, so that memory stays flat.

They are copied into one file beside the checkpoints: a compressed file cannot be read from the middle, and a run that
goes on must find the rows that it began with.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.tokenizer import is_blank
from rerank_plugins.training.data.digests import DigestMap, alike, digest
from rerank_plugins.training.data.reading import RecordStream, open_records
from rerank_plugins.training.data.records import TrainingRecord
from rerank_plugins.training.row_kinds import SourceTask
from rerank_plugins.training.settings_common import CommonDataSettings

__all__ = ["Rows", "store_rows"]

_MOST_HELD_OUT = 500
_LEAST_HELD_OUT = 10


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows of a file, by number.

    Attributes:
        path: One JSON object a line.
        starts: Where each row begins, in bytes, and the file's length.
        places: For each row the number of its source and of its line there.
        sources: The files that they came from.
        tasks: What the rows of each of them have in common.
        digest: SHA-256 of the rows, in hexadecimal.
        n_left_out: Rows of the data that have no group.
        n_answered: Held-out rows of which a positive is one of these rows, too.
        known_queries: Those of the queries that were asked about that are trained on, as they were given.
    """

    path: Path
    starts: array[int]
    places: array[int]
    sources: tuple[str, ...]
    tasks: tuple[SourceTask, ...]
    digest: str
    n_left_out: int
    n_answered: int = 0
    known_queries: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> TrainingRecord:
        start, end = self.starts[row], self.starts[row + 1]
        # Opened each time: nothing is shared with worker processes, and the system keeps the pages anyway.
        with self.path.open("rb") as file:
            file.seek(start)
            return TrainingRecord.from_mapping(json.loads(file.read(end - start)))

    @property
    def sizes(self) -> list[int]:
        """Bytes of each row: about as long as its texts are."""
        return [end - start for start, end in itertools.pairwise(self.starts)]

    @property
    def source_numbers(self) -> list[int]:
        """Number of the source of each row, in ``sources``."""
        return list(self.places[::2])

    def task(self, row: int) -> SourceTask:
        """Return what a row has in common with the others of its source."""
        return self.tasks[self.places[2 * row]]

    def where(self, row: int) -> str:
        """Return the place that a row came from, ``FILE:LINE``."""
        return f"{self.sources[self.places[2 * row]]}:{self.places[2 * row + 1]}"


class _Store:
    """Collects rows in a file.

    Args:
        path: The file; what is there is written anew.

    Attributes:
        n_left_out: Rows that were not stored.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.n_left_out = path, 0
        self._starts, self._places = array("Q", [0]), array("Q")
        self._sources: dict[str, int] = {}
        self._tasks: list[SourceTask] = []
        self._hash = hashlib.sha256()
        self._file = path.open("wb")

    def add(self, record: TrainingRecord, *, kind: str, source: str, number: int) -> None:
        """Append a row.

        Raises:
            InvalidInputError: Rows of its source are of another kind.
        """
        place, task = self._sources.setdefault(source, len(self._sources)), SourceTask(kind, len(record.neg))
        if place == len(self._tasks):
            self._tasks.append(task)
        if self._tasks[place].kind != kind:
            msg = (
                f"{source}:{number}: its type {kind!r} is another than {self._tasks[place].kind!r} of the rows before, "
                "and batches of one file are of one type: put these rows into a file of their own"
            )
            raise InvalidInputError(msg)
        self._tasks[place] = min(task, self._tasks[place])
        data = json.dumps(record.to_mapping(), ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        self._file.write(data)
        self._hash.update(data)
        self._starts.append(self._starts[-1] + len(data))
        self._places.extend((place, number))

    def close(self) -> Rows:
        """Return the rows."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        whole = self._hash.hexdigest()
        sources, tasks = tuple(self._sources), tuple(self._tasks)
        return Rows(self._path, self._starts, self._places, sources, tasks, whole, self.n_left_out)


def store_rows(
    data: CommonDataSettings, path: Path, *, holds_out: bool, asked_queries: Iterable[str] = ()
) -> tuple[Rows, tuple[TrainingRecord, ...]]:
    """Read all training data, in any known format, and store what has a group.

    Rows that have none (a blank query, no text on one side, no teacher's scores where they are learnt from) are left
    out: :mod:`rerank_plugins.training.inspecting` has stopped the run before, unless they are allowed.

    Args:
        data: Which files, and what a row must have.
        path: Where the rows are stored.
        holds_out: Whether ``dev_fraction`` of the queries is held out.
        asked_queries: Queries of other sets, of which is said which ones are trained on, whatever their case and white
            space.

    Returns:
        The rows to train on, and the rows held out; none where fewer than ten queries would be.

    Raises:
        InvalidInputError: A file cannot be read, a row is none and that is not allowed, a teacher's score is no
            probability where all shall be, or no row is left.
    """
    stream, asked = open_records(list(data.train_data)), frozenset(asked_queries)
    try:
        rows, held = _stored(data, path, stream, fraction=data.dev_fraction if holds_out else 0.0, asked=asked)
        if 0 < len({record.query for record in held}) < _LEAST_HELD_OUT:
            # Too few to tell anything: all are trained on.
            rows, held = _stored(data, path, stream, fraction=0.0, asked=asked)
    except OSError as error:
        msg = f"the training rows cannot be stored in {str(path)!r} ({error.strerror or error}); make room there"
        raise InvalidInputError(msg) from error
    if not len(rows):
        neg = f" and, as train_group_size is {data.train_group_size}, a neg text" * (data.train_group_size > 1)
        files = ", ".join(map(str, stream.formats))
        msg = f"the training data has no row that could be trained on, with a query, a pos text{neg}: {files}"
        raise InvalidInputError(msg)
    return rows, tuple(held)


def _stored(
    data: CommonDataSettings, path: Path, stream: RecordStream, *, fraction: float, asked: frozenset[str]
) -> tuple[Rows, list[TrainingRecord]]:
    """Return the rows to train on, and those held out: a share of the queries by a hash, so it is the same anew."""
    store, held, queries, trained = _Store(path), list[TrainingRecord](), set[str](), DigestMap()
    wanted, found = {alike(one) for one in asked}, set[str]()
    for item in stream.items():
        if item.error is not None and item.error.fault not in data.allow:
            raise item.error
        record = None if item.record is None else _with_group(item.record, data, where=item.where)
        if record is None:
            store.n_left_out += 1
            continue
        query = alike(record.query)
        # All rows of a query are on one side.
        if _hash(query) < fraction and (query in queries or len(queries) < _MOST_HELD_OUT):
            queries.add(query)
            held.append(record)
        else:
            if query in wanted:
                found.add(query)
            store.add(record, kind=data.kind_of(record), source=item.source, number=item.number)
            for text in record.pos if fraction else ():
                trained.first(_text_key(text), 0)
    n_answered = sum(any(_text_key(text) in trained for text in record.pos) for record in held)
    known = frozenset(one for one in asked if alike(one) in found)
    return replace(store.close(), n_answered=n_answered, known_queries=known), held


def _text_key(text: str) -> int:
    """Return what stands for a text and for all that are alike."""
    return digest((alike(text),))


def _hash(query: str) -> float:
    """Return a number from 0 to 1 that a query has in every run."""
    return int.from_bytes(hashlib.sha256(query.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64


def _with_group(record: TrainingRecord, data: CommonDataSettings, *, where: str) -> TrainingRecord | None:
    """Return a row without blank texts, which no model reads; None if there is no group in it."""
    pos, pos_scores = _without_blanks(record.pos, record.pos_scores)
    neg, neg_scores = _without_blanks(record.neg, record.neg_scores)
    if is_blank(record.query) or not pos or not (neg or data.train_group_size == 1):
        return None
    if data.knowledge_distillation:
        if pos_scores is None or neg_scores is None:
            return None
        scores = (*pos_scores, *neg_scores)
        if data.teacher_scale == "probability" and not all(0 <= score <= 1 for score in scores):
            msg = (
                f"{where}: a teacher's scores from {min(scores)} to {max(scores)} are no probabilities; set "
                "teacher_scale to 'logit'"
            )
            raise InvalidInputError(msg)
    kept = replace(record, pos_ids=None, neg_ids=None, pos_scores=None, neg_scores=None)
    return replace(kept, pos=pos, neg=neg, pos_scores=pos_scores, neg_scores=neg_scores)


def _without_blanks(
    texts: tuple[str, ...], scores: tuple[float, ...] | None
) -> tuple[tuple[str, ...], tuple[float, ...] | None]:
    kept = [place for place, text in enumerate(texts) if not is_blank(text)]
    return tuple(texts[one] for one in kept), None if scores is None else tuple(scores[one] for one in kept)
