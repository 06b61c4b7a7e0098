"""The rows that a job works on: looked at once before any work is done, then read one at a time."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.tokenizer import is_blank
from rerank_plugins.training.data.items import Item
from rerank_plugins.training.data.lines import json_line
from rerank_plugins.training.data.reading import RecordStream, open_records
from rerank_plugins.training.data.records import TrainingRecord

__all__ = ["PlacedRecord", "RowSource", "blocks", "look_at_rows"]

logger = logging.getLogger(__name__)

_MOST_NOTES = 10


@dataclass(frozen=True, slots=True)
class PlacedRecord:
    """A record and where it stands.

    Attributes:
        number: Its number among all rows, from 0.
        where: The place for errors, ``FILE:LINE``.
        record: The record.
    """

    number: int
    where: str
    record: TrainingRecord


@dataclass(frozen=True, slots=True, eq=False)
class RowSource:
    """Rows that can be read several times.

    Attributes:
        stream: Where they come from.
        n_rows: How many there are.
        digest: SHA-256 of them all, in hexadecimal.
    """

    stream: RecordStream
    n_rows: int
    digest: str

    def records(self, *, start: int = 0) -> Iterator[PlacedRecord]:
        """Yield the records from a row on.

        Raises:
            InvalidInputError: There are more or fewer of them in the end than there were.
        """
        number = start
        for item in islice(self.stream.items(), start, None):
            yield PlacedRecord(number, item.where, _record_of(item))
            number += 1
        if number != self.n_rows:
            files = ", ".join(map(str, self.stream.formats))
            msg = f"{files} had {self.n_rows} rows before the work began and has {number} now; run it again"
            raise InvalidInputError(msg)


def look_at_rows(
    sources: Sequence[str | Path],
    *,
    format_name: str | None,
    problem: Callable[[TrainingRecord], str | None],
    on_row: Callable[[TrainingRecord], object] | None = None,
) -> RowSource:
    """Read all rows once, so that a bad one stops a job before its first second of computing.

    Args:
        sources: The data.
        format_name: Its format; None tells it from the rows.
        problem: Returns what is wrong with a record beyond what no model reads (a blank text); None for nothing.
        on_row: Called with each record.

    Raises:
        InvalidInputError: A file cannot be read, or a row is none or has a problem; the message has its place.
    """
    for one in map(Path, sources):
        if one.exists() and not (one.is_file() or one.is_dir()):
            msg = f"{str(one)!r} is a pipe, and rows are read twice, once to look at them; write them into a file first"
            raise InvalidInputError(msg)
    stream = open_records(list(sources), format_name=format_name)
    hashed, n_rows = hashlib.sha256(), 0
    for item in stream.items():
        record = _record_of(item)
        wrong = _blank(record) or problem(record)
        if wrong is not None:
            msg = f"{item.where}: {wrong}"
            raise InvalidInputError(msg)
        hashed.update(json_line(record.to_mapping()))
        n_rows += 1
        if on_row is not None:
            on_row(record)
    if stream.not_read:
        listed = "; ".join(f"{what} ({count})" for what, count in list(stream.not_read.items())[:_MOST_NOTES])
        logger.warning("not read: %s", listed)
    if not n_rows:
        msg = f"there is no row in {', '.join(map(str, sources))}; give data with one query a line"
        raise InvalidInputError(msg)
    return RowSource(stream, n_rows, hashed.hexdigest())


def blocks(
    records: Iterator[PlacedRecord], *, most: int, size: Callable[[TrainingRecord], int]
) -> Iterator[list[PlacedRecord]]:
    """Yield records in lists of which each has about as much work.

    Args:
        records: The records.
        most: Work of a list; a single record may have more.
        size: Returns the work of a record.
    """
    held, n_held = list[PlacedRecord](), 0
    for placed in records:
        n_more = size(placed.record)
        if held and n_held + n_more > most:
            yield held
            held, n_held = [], 0
        held.append(placed)
        n_held += n_more
    if held:
        yield held


def _record_of(item: Item) -> TrainingRecord:
    if item.error is not None:
        raise item.error
    if item.record is None:
        msg = f"{item.where}: no record"
        raise InvalidInputError(msg)
    return item.record


def _blank(record: TrainingRecord) -> str | None:
    if is_blank(record.query):
        return "the query is blank; take the row out"
    for side in ("pos", "neg"):
        for position, text in enumerate(getattr(record, side)):
            if is_blank(text):
                return f"{side}[{position}] is blank; take it out (rerank-plugins data check finds all of them)"
    return None
