"""A part of a job's output: a file with the rows of one block, whole or not there."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import write_atomically

__all__ = ["Columns", "PartFormat", "part_name", "write_part"]

Columns = Mapping[str, Any]
"""Name to values: a sequence of plain values, or vectors. Shape of those: (rows, dim), float32."""

PartFormat = Literal["jsonl", "parquet"]


def part_name(number: int, part_format: PartFormat) -> str:
    """Return the file name of a block's output; by name they are in the order of the input."""
    return f"part-{number:08d}.{part_format}"


def write_part(
    path: Path,
    columns: Columns,
    part_format: PartFormat,
    types: Mapping[str, Any] | None = None,
    *,
    first_row: int = 0,
) -> None:
    """Write a part. A process that is killed meanwhile leaves none; a second one replaces it with the same rows.

    Args:
        path: The file.
        columns: What it holds.
        part_format: Its format.
        types: Arrow types of columns in Parquet; None, and columns that are not there, are typed by their values.
        first_row: Place of the first row in its file, for messages; 0 is the first.

    Raises:
        InvalidInputError: It cannot be written, or a column holds what the format has no place for.
        MissingExtraError: Parquet was asked for, and pyarrow is not installed.
    """
    try:
        data = _parquet(columns, types or {}) if part_format == "parquet" else _lines(columns, first_row)
    except (TypeError, ValueError, OverflowError, NotImplementedError) as error:
        # pyarrow's own errors are of these kinds.
        msg = f"columns {', '.join(columns)} cannot be written as {part_format} ({error}); keep other columns"
        raise InvalidInputError(msg) from error
    write_atomically(path, data)


def _lines(columns: Columns, first_row: int) -> bytes:
    lists = {name: _plain(values) for name, values in columns.items()}
    rows = zip(*lists.values(), strict=True)
    return b"".join(_line(dict(zip(lists, row, strict=True)), place) for place, row in enumerate(rows, first_row + 1))


def _line(row: Mapping[str, Any], place: int) -> bytes:
    try:
        return json.dumps(row, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        # Python would write and read NaN and Infinity, which are no JSON; 1e400 is read as infinity.
        msg = f"row {place}: {error}"
        raise ValueError(msg) from error


def _plain(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else list(values)


def _parquet(columns: Columns, types: Mapping[str, Any]) -> bytes:
    arrow = import_extra("pyarrow", extra="bulk")
    parquet = import_extra("pyarrow.parquet", extra="bulk")
    arrays = {name: _array(arrow, values, types.get(name)) for name, values in columns.items()}
    buffer = io.BytesIO()
    parquet.write_table(arrow.table(arrays), buffer)
    return buffer.getvalue()


def _array(arrow: Any, values: Any, kind: Any) -> Any:
    if not (isinstance(values, np.ndarray) and values.ndim == 2):
        return arrow.array(values, type=kind)
    # An array of one length per vector: readers get a matrix without looking at each row.
    return arrow.FixedSizeListArray.from_arrays(arrow.array(values.reshape(-1)), values.shape[1])
