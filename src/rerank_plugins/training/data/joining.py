"""Rows of one query become one record: those that stand together as they are read, all of a file by way of the disk."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.data.digests import DigestMap, digest
from rerank_plugins.training.data.items import Item
from rerank_plugins.training.data.records import RecordError, TrainingRecord

__all__ = ["counting", "joined_neighbours", "merged", "regrouped"]

Report = Callable[[str], None]


def merged(records: Sequence[TrainingRecord], report: Report) -> TrainingRecord:
    """Return one record with the texts of several of the same query; a text that stands on a side twice is kept once.

    Args:
        records: At least one.
        report: Called with what was left out, once for each.

    Raises:
        RecordError: Some have scores and others not.
    """
    if len(records) == 1:
        return records[0]
    sides: dict[str, Any] = {}
    for side in ("pos", "neg"):
        sides |= _merged_side(records, side, report)
    answers = dict.fromkeys(answer for record in records for answer in record.answers or ())
    query_id = next((record.query_id for record in records if record.query_id is not None), None)
    return replace(records[0], **sides, answers=tuple(answers) or None, query_id=query_id)


def _merged_side(records: Sequence[TrainingRecord], side: str, report: Report) -> dict[str, Any]:
    texts = [text for record in records for text in getattr(record, side)]
    kept = {text: position for position, text in reversed(list(enumerate(texts)))}
    places = sorted(kept.values())
    for _ in range(len(texts) - len(places)):
        report("texts that a query's rows repeat, kept once")
    merged_side: dict[str, Any] = {side: tuple(texts[place] for place in places)}
    for name in (f"{side}_scores", f"{side}_ids"):
        lists = [getattr(record, name) for record in records if getattr(record, side)]
        values = [value for one in lists if one is not None for value in one]
        if len(values) == len(texts):
            # A side without texts has a list of its own only where a row has one: none is made up.
            is_there = any(getattr(record, name) is not None for record in records)
            merged_side[name] = tuple(values[place] for place in places) if is_there else None
        elif name.endswith("_scores") and values:
            msg = "some rows of this query have scores and others not; score them all, or take the scores out"
            raise RecordError(msg, fault="score_count")
        else:
            merged_side[name] = None
            for _ in values:
                report(f"{name} of a query of which some rows have none")
    return merged_side


def joined_neighbours(items: Iterable[Item], report: Report) -> Iterator[Item]:
    """Join the records of one query that stand together; a query that comes back later is an error there.

    Memory: one query's rows, and 48 bytes a query.
    """
    seen, held = DigestMap(), list[Item]()
    for item in items:
        if item.record is None:
            yield item
        elif held and _key(item) == _key(held[0]):
            held.append(item)
        else:
            yield from _joined(held, report)
            held = []
            before = seen.first(digest(_key(item)), item.number)
            if before is None:
                held = [item]
            else:
                yield _scattered(item, before)
    yield from _joined(held, report)


def _scattered(item: Item, before: int) -> Item:
    msg = (
        f"{item.where}: rows of this query stand at {before} too, and not together; "
        "sort the file by query, or put them together on disk with rerank-plugins data convert --regroup (regroup=True)"
    )
    return Item(item.source, item.number, None, RecordError(msg, fault="scattered"))


def regrouped(items: Iterable[Item], report: Report) -> Iterator[Item]:
    """Join all records of one query, in the order in which queries first appear, by way of a temporary file.

    Memory: one query's rows, and 48 bytes a query. Disk: once the data, where temporary files are.

    Raises:
        InvalidInputError: There is no room for the temporary file.
    """
    with TemporaryDirectory(prefix="rerank-plugins-") as folder:
        try:
            with closing(_table(Path(folder) / "rows.db")) as table:
                yield from _stored(items, table)
                for held in _groups(table):
                    yield from _joined(held, report)
        except sqlite3.Error as error:
            msg = f"the rows cannot be put together on disk ({error}); make room in {folder}, or set TMPDIR elsewhere"
            raise InvalidInputError(msg) from error


def _table(path: Path) -> sqlite3.Connection:
    table = sqlite3.connect(path, isolation_level=None)
    table.execute("PRAGMA journal_mode = OFF")
    table.execute("PRAGMA synchronous = OFF")
    table.execute("CREATE TABLE rows (first INTEGER, place INTEGER, source TEXT, number INTEGER, row TEXT)")
    table.execute("BEGIN")
    return table


def _stored(items: Iterable[Item], table: sqlite3.Connection) -> Iterator[Item]:
    """Put records into the table; yields the rows that are none."""
    seen = DigestMap()
    for place, item in enumerate(items):
        if item.record is None:
            yield item
            continue
        before = seen.first(digest(_key(item)), place)
        row = json.dumps(item.record.to_mapping())
        values = (place if before is None else before, place, item.source, item.number, row)
        table.execute("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", values)


def _groups(table: sqlite3.Connection) -> Iterator[list[Item]]:
    held, last = list[Item](), -1
    for first, source, number, row in table.execute(
        "SELECT first, source, number, row FROM rows ORDER BY first, place"
    ):
        if first != last and held:
            yield held
            held = []
        last = first
        held.append(Item(source, number, TrainingRecord.from_mapping(json.loads(row))))
    if held:
        yield held


def _key(item: Item) -> tuple[str, ...]:
    """Return what rows must agree in to be one record."""
    record = item.record
    if record is None:
        return ()
    return (record.query, *(value or "" for value in (record.prompt, record.type)), *_prompts(record))


def _prompts(record: TrainingRecord) -> tuple[str, str]:
    return record.query_prompt or "", record.passage_prompt or ""


def _joined(held: Sequence[Item], report: Report) -> Iterator[Item]:
    if not held:
        return
    first = held[0]
    try:
        record = merged([item.record for item in held if item.record is not None], report)
    except RecordError as error:
        yield Item(first.source, first.number, None, error.at(first.where))
        return
    yield Item(first.source, first.number, record)


def counting(counts: Counter[str]) -> Report:
    """Return a function that counts each message that it is called with."""

    def report(what: str) -> None:
        counts[what] += 1

    return report
