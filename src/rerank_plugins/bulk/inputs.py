"""The rows of JSON lines and Parquet files, cut into blocks that any process can read alone."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from rerank_plugins.bulk.folders import is_parquet
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import reason_of
from rerank_plugins.system.lines import is_row

__all__ = ["Block", "Row", "column_types", "plan_blocks", "read_block"]

Row = dict[str, Any]

_READ_ROWS = 4_096
"""Rows of Parquet that are in memory at once beside those of the block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows of one file that follow each other.

    Attributes:
        number: Place among all blocks; 0 is the first.
        path: The file.
        first_row: Place of its first row in the file; 0 is the first.
        n_rows: Number of its rows.
        offset: Byte at which they begin in a file of JSON lines; 0 for Parquet.
        sha256: Of the file's lines up to its end, in hexadecimal; for Parquet of the file's end, which says where and
            of what size all values are, and the least and greatest ones.
    """

    number: int
    path: str
    first_row: int
    n_rows: int
    offset: int = 0
    sha256: str = ""

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.path}, rows {self.first_row + 1} to {self.first_row + self.n_rows}"


def plan_blocks(files: Sequence[Path], rows_per_block: int) -> list[Block]:
    """Return the blocks of files, in order. Files of JSON lines are read once for it; of Parquet only the end is.

    Raises:
        InvalidInputError: A file cannot be read.
        MissingExtraError: There is Parquet, and pyarrow is not installed.
    """
    blocks: list[Block] = []
    for file in files:
        places = _parquet_places if is_parquet(file.name) else _line_places
        try:
            for place in places(file, rows_per_block):
                blocks.append(Block(number=len(blocks), path=str(file), **place))
        except (OSError, ValueError, NotImplementedError) as error:
            msg = f"{str(file)!r} cannot be read ({reason_of(error)})"
            raise InvalidInputError(msg) from error
    return blocks


def read_block(block: Block, columns: Sequence[str]) -> list[Row]:
    """Return the rows of a block, of which only some columns are needed.

    Raises:
        InvalidInputError: The file has changed, or a row is no JSON object or lacks a column.
    """
    try:
        rows = (_parquet_rows if is_parquet(block.path) else _line_rows)(block, columns)
    except InvalidInputError:
        raise
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        msg = f"{block.place}: cannot be read ({reason_of(error) if isinstance(error, OSError) else error})"
        raise InvalidInputError(msg) from error
    if len(rows) != block.n_rows:
        msg = f"{block.place}: only {len(rows)} rows are there; the file has changed since the job was begun"
        raise InvalidInputError(msg)
    for place, row in enumerate(rows, start=block.first_row + 1):
        missing = [name for name in columns if name not in row]
        if missing:
            msg = f"{block.path}, row {place}: no {missing[0]!r}; it has {sorted(row)[:8]}"
            raise InvalidInputError(msg)
    return rows


def _line_places(file: Path, rows_per_block: int) -> Iterator[dict[str, Any]]:
    first, n_rows, start, offset, digest = 0, 0, 0, 0, sha256()
    with file.open("rb") as lines:
        for line in lines:
            if is_row(line):
                if n_rows == rows_per_block:
                    yield {"first_row": first, "n_rows": n_rows, "offset": start, "sha256": digest.hexdigest()}
                    first, n_rows, start = first + n_rows, 0, offset
                n_rows += 1
                digest.update(line)
            offset += len(line)
    if n_rows:
        yield {"first_row": first, "n_rows": n_rows, "offset": start, "sha256": digest.hexdigest()}


def _line_rows(block: Block, columns: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    with open(block.path, "rb") as lines:  # noqa: PTH123 - the path is a string on its way between machines
        lines.seek(block.offset)
        for line in lines:
            if len(rows) == block.n_rows:
                break
            if is_row(line):
                rows.append(_row(line, place=f"{block.path}, row {block.first_row + len(rows) + 1}"))
    return rows


def _row(line: bytes, *, place: str) -> Row:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        msg = f"{place}: not JSON in UTF-8 ({error})"
        raise InvalidInputError(msg) from error
    if not isinstance(row, dict):
        msg = f"{place}: expected an object, got {type(row).__name__}"
        raise InvalidInputError(msg)
    return row


def _parquet_places(file: Path, rows_per_block: int) -> Iterator[dict[str, Any]]:
    parquet = import_extra("pyarrow.parquet", extra="bulk")
    total, digest = parquet.ParquetFile(file).metadata.num_rows, _sha256_of_end(file)
    for first in range(0, total, rows_per_block):
        yield {"first_row": first, "n_rows": min(rows_per_block, total - first), "sha256": digest}


def _sha256_of_end(file: Path) -> str:
    """Return a digest of the metadata at the end of a Parquet file, of which the last 8 bytes tell the length."""
    with file.open("rb") as data:
        data.seek(-8, 2)
        size = int.from_bytes(data.read(4), "little")
        data.seek(-8 - size, 2)
        return sha256(data.read()).hexdigest()


def column_types(block: Block, columns: Sequence[str]) -> dict[str, Any]:
    """Return the Arrow types of columns of a block's file; none for JSON lines, whose values tell them.

    A part that got its types from its own values alone would not fit the others: nothing but nulls is of no type.
    """
    if not columns or not is_parquet(block.path):
        return {}
    arrow = import_extra("pyarrow", extra="bulk")
    schema = import_extra("pyarrow.parquet", extra="bulk").read_schema(block.path)
    found = {name: schema.field(name).type for name in columns if name in schema.names}
    return {name: kind for name, kind in found.items() if not isinstance(kind, arrow.BaseExtensionType)}


def _parquet_rows(block: Block, columns: Sequence[str]) -> list[Row]:
    parquet = import_extra("pyarrow.parquet", extra="bulk")
    file = parquet.ParquetFile(block.path)
    there = Counter(file.schema_arrow.names)
    doubled = [name for name in columns if there[name] > 1]
    if doubled:
        msg = f"{block.path}: has {there[doubled[0]]} columns {doubled[0]!r}; rename all but one"
        raise InvalidInputError(msg)
    groups, first, skipped = [], 0, 0
    for number in range(file.num_row_groups):
        n_rows = file.metadata.row_group(number).num_rows
        if first + n_rows <= block.first_row:
            skipped = first + n_rows
        elif first < block.first_row + block.n_rows:
            groups.append(number)
        first += n_rows
    rows: list[Row] = []
    before = block.first_row - skipped
    # Not the groups as a whole: many a file is one group, and a block a small part of it.
    read = [name for name in columns if name in there]
    for batch in file.iter_batches(batch_size=_READ_ROWS, row_groups=groups, columns=read):
        rows += batch.slice(min(before, len(batch)), block.n_rows - len(rows)).to_pylist()
        before = max(0, before - len(batch))
        if len(rows) == block.n_rows:
            break
    return rows
