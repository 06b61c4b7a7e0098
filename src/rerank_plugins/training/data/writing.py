"""Records written in any of the formats; a file or folder is whole or as before."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rerank_plugins.checks.arguments import checked_call, checked_fields
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import reason_of, write_folder_with, write_with
from rerank_plugins.training.data.detection import BEIR, LLAMAINDEX, check_format
from rerank_plugins.training.data.formats import ROW_FORMATS, RowFormat, RowOptions
from rerank_plugins.training.data.judged_writing import BeirFolder, finetune_content
from rerank_plugins.training.data.lines import json_line
from rerank_plugins.training.data.records import TrainingRecord
from rerank_plugins.training.data.tokens import open_tokenizer

__all__ = ["WriteOptions", "Written", "write_records"]

_OTHER_KEYS = "rows with other keys than the first, whose keys RAG-Retrieval takes for all"
_NO_ROWS = "queries without a text, of which nothing is written"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written, and what the format could not hold.

    Attributes:
        output: The file or folder.
        format_name: Its format.
        n_records: Records that came.
        n_rows: Rows that were written; for ``beir`` and ``llamaindex`` queries.
        lost: What was left out, in words, with how often.
    """

    output: Path
    format_name: str
    n_records: int
    n_rows: int
    lost: Mapping[str, int]


@dataclass(slots=True)
class _Tally:
    n_records: int = 0
    n_rows: int = 0
    lost: Counter[str] = field(default_factory=Counter)

    def counted(self, records: Iterable[TrainingRecord]) -> Iterator[TrainingRecord]:
        for record in records:
            self.n_records += 1
            yield record


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """How records are written.

    Attributes:
        format_name: One of :data:`~rerank_plugins.training.data.detection.FORMAT_NAMES`.
        tokenizer: Folder, ``tokenizer.json``, listed model or hub id: makes the ids of luyug/Reranker's rows. None if
            the format holds texts.
        split: Name of the judgements in a folder in BEIR layout.
        overwrite: Whether an output that is there is replaced.
    """

    format_name: str = "records"
    tokenizer: str | Path | None = None
    split: str = "train"
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Check what a type cannot say."""
        check_format(self.format_name)
        if not self.split or Path(self.split).name != self.split:
            msg = f"split must be a plain name such as train, got {self.split!r}"
            raise InvalidInputError(msg)


@checked_call(unchecked=("records",))
def write_records(
    records: Iterable[TrainingRecord], output: str | Path, *, options: WriteOptions | None = None
) -> Written:
    """Write records in one of the formats, one at a time.

    Args:
        records: They may be more than memory holds; only ``llamaindex`` is put together in memory, being one object.
        output: A file, compressed with gzip if its name ends with ``.gz``; for ``beir`` a folder.
        options: How; None writes ``records``.

    Returns:
        How much was written, and what was left out because the format has no place for it.

    Raises:
        InvalidInputError: The output is there, or cannot be written; no tokenizer was named for ids. What was there
            is then as before.
    """
    path, tally, options = Path(output), _Tally(), options or WriteOptions()
    _check_output(path, is_folder=options.format_name == BEIR, overwrite=options.overwrite)
    if options.format_name == BEIR:
        _write_beir(tally, records, path, options.split)
    elif options.format_name == LLAMAINDEX:
        content = finetune_content(tally.counted(records), tally.lost)
        tally.n_rows = len(content["relevant_docs"])
        _write_file(path, [json_line(content, indent=4)])
    else:
        known = ROW_FORMATS[options.format_name]
        _write_file(path, _lines(tally, records, known, _row_options(known, options.tokenizer)))
    return Written(
        output=path,
        format_name=options.format_name,
        n_records=tally.n_records,
        n_rows=tally.n_rows,
        lost={what: count for what, count in tally.lost.items() if count},
    )


def _check_output(path: Path, *, is_folder: bool, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        msg = f"{str(path)!r} is there already; name another output, or replace it with overwrite=True (--overwrite)"
        raise InvalidInputError(msg)
    wrong = path.is_file() if is_folder else path.is_dir()
    if wrong or (is_folder and path.is_dir() and any(path.iterdir()) and not (path / "corpus.jsonl").is_file()):
        kind = "a folder in BEIR layout" if is_folder else "a file"
        msg = f"{str(path)!r} is there and is not {kind}; it is not replaced: name another output"
        raise InvalidInputError(msg)


def _row_options(known: RowFormat, tokenizer: str | Path | None) -> RowOptions:
    if known.needs_tokenizer and tokenizer is None:
        msg = f"{known.name} holds token ids: name the tokenizer that makes them with tokenizer=... (--tokenizer)"
        raise InvalidInputError(msg)
    return RowOptions(tokenizer=open_tokenizer(tokenizer) if known.needs_tokenizer and tokenizer else None)


def _lines(tally: _Tally, records: Iterable[TrainingRecord], known: RowFormat, options: RowOptions) -> Iterator[bytes]:
    first: set[str] | None = None
    for record in tally.counted(records):
        rows = known.write(record, options)
        tally.lost.update(known.lost(record, options))
        tally.lost[_NO_ROWS] += not rows
        tally.n_rows += len(rows)
        for row in rows:
            first = first or set(row)
            tally.lost[_OTHER_KEYS] += known.same_keys and set(row) != first
            yield json_line(row)


def _write_beir(tally: _Tally, records: Iterable[TrainingRecord], path: Path, split: str) -> None:
    def save(folder: Path) -> None:
        with BeirFolder(folder, split=split, lost=tally.lost) as written:
            for record in tally.counted(records):
                tally.n_rows += written.add(record)

    try:
        write_folder_with(path, save)
    except OSError as error:
        msg = f"{str(path)!r} cannot be written ({reason_of(error)}); name another, or make room"
        raise InvalidInputError(msg) from error


def _write_file(path: Path, lines: Iterable[bytes]) -> None:
    def save(place: Path) -> None:
        with place.open("wb") as file:
            if path.suffix == ".gz":
                # No name and no time in it: equal rows make equal files.
                with gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed:
                    packed.writelines(lines)
            else:
                file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())

    write_with(path, save)
