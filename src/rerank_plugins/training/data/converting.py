"""Training data from one format into another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.training.data.reading import ReadOptions, RecordStream, open_records
from rerank_plugins.training.data.records import TrainingRecord
from rerank_plugins.training.data.writing import WriteOptions, Written, write_records

__all__ = ["Conversion", "convert_data"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What was read, what was written, and what neither kept.

    Attributes:
        formats: File or folder that was read to its format.
        not_read: What was not read, in words, with how often.
        written: What was written, and what its format could not hold.
    """

    formats: Mapping[str, str]
    not_read: Mapping[str, int]
    written: Written


@checked_call(unchecked=("sources", "on_row"))
def convert_data(
    sources: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    format_name: str | None = None,
    read_options: ReadOptions | None = None,
    write_options: WriteOptions | None = None,
    on_row: Callable[[], object] | None = None,
) -> Conversion:
    """Read training data of any known format and write it in another, one row at a time.

    Args:
        sources: The data, as :func:`~rerank_plugins.training.data.reading.open_records` takes them.
        output: The file, or for ``beir`` the folder.
        format_name: Format of ``sources``; None tells it from their rows.
        read_options: What files alone do not say.
        write_options: The format that is written, ``records`` by default.
        on_row: Called after each record, for a progress bar.

    Returns:
        What was left out on the way; nothing goes in silence.

    Raises:
        InvalidInputError: A row is none of its format, the output is there, or cannot be written. The output is then as
            before.
    """
    stream = open_records(sources, format_name=format_name, options=read_options)
    written = write_records(_watched(stream, on_row), output, options=write_options)
    formats = {str(path): name for path, name in stream.formats.items()}
    return Conversion(formats=formats, not_read=dict(stream.not_read), written=written)


def _watched(stream: RecordStream, on_row: Callable[[], object] | None) -> Iterator[TrainingRecord]:
    for record in stream:
        yield record
        if on_row is not None:
            on_row()
