"""Records from any of the formats, one at a time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rerank_plugins.checks.arguments import checked_call, checked_fields
from rerank_plugins.checks.kinds import Within
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.data.detection import BEIR, LLAMAINDEX, check_format, claims, detect_format
from rerank_plugins.training.data.formats import ROW_FORMATS, RowFormat, RowOptions, report_grades
from rerank_plugins.training.data.items import Item
from rerank_plugins.training.data.joining import counting, joined_neighbours, regrouped
from rerank_plugins.training.data.judged_sets import beir_items, finetune_items
from rerank_plugins.training.data.lines import data_files, json_lines
from rerank_plugins.training.data.records import RecordError, TrainingRecord, row_of
from rerank_plugins.training.data.tokens import open_tokenizer

__all__ = ["ReadOptions", "RecordStream", "open_records"]

_CORPUS = "corpus.jsonl"
"""What tells a folder in BEIR layout."""


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What files alone do not say.

    Attributes:
        tokenizer: Folder, ``tokenizer.json``, listed model or hub id whose tokenizer made the ids of luyug/Reranker's
            rows; None if there are none.
        label_key: Key of the labels in RAG-Retrieval's reranker rows; None takes ``label``, else ``score``.
        positive_from: The least label, score or relevance of a positive.
        keep_labels: Whether labels become scores; None does so for RAG-Retrieval's reranker rows, whose labels may
            have steps (0, 1, 2) or be a teacher's, and not for judgements.
        split: Which ``qrels/SPLIT.tsv`` of folders in BEIR layout; None takes the only one.
        regroup: Join all rows of a query, wherever they stand, by way of a temporary file.
    """

    tokenizer: str | Path | None = None
    label_key: str | None = None
    positive_from: Annotated[float, Within(-math.inf), "a finite number"] = 0.5
    keep_labels: bool | None = None
    split: str | None = None
    regroup: bool = False


class RecordStream:
    """Records of some files, in their order; each iteration reads anew.

    Args:
        formats: The files with their formats.
        options: How they are read.
        is_forced: Whether the format was asked for, so that rows are not looked at for another.

    Attributes:
        formats: File or folder to the name of its format.
        not_read: What was met and left out, with how often; filled by the last iteration.
    """

    def __init__(self, formats: dict[Path, str], options: ReadOptions, *, is_forced: bool) -> None:
        self.formats, self.not_read = formats, Counter[str]()
        self._options, self._is_forced, self._one_key = options, is_forced, _OneKey()
        self._tokenizer = None if options.tokenizer is None else open_tokenizer(options.tokenizer)

    def __iter__(self) -> Iterator[TrainingRecord]:
        """Yield the records; the first row that is none raises RecordError with its place."""
        for item in self.items():
            if item.error is not None:
                raise item.error
            if item.record is not None:
                yield item.record

    def items(self) -> Iterator[Item]:
        """Yield records and rows that are none, each with its place.

        Raises:
            InvalidInputError: A file cannot be read at all.
        """
        self.not_read.clear()
        self._one_key = _OneKey()
        items = (item for path, name in self.formats.items() for item in self._file_items(path, name))
        yield from regrouped(items, counting(self.not_read)) if self._options.regroup else items

    def _file_items(self, path: Path, name: str) -> Iterator[Item]:
        if name == BEIR:
            options, split = self._row_options(keeps_labels=False), self._options.split
            return beir_items(path, split=split, options=options, report=counting(self.not_read))
        if name == LLAMAINDEX:
            options = self._row_options(keeps_labels=False)
            return finetune_items(path, options=options, report=counting(self.not_read))
        items = self._row_items(path, ROW_FORMATS[name])
        joins = ROW_FORMATS[name].joins_rows and not self._options.regroup
        return joined_neighbours(items, counting(self.not_read)) if joins else items

    def _row_options(self, *, keeps_labels: bool) -> RowOptions:
        options = self._options
        return RowOptions(
            tokenizer=self._tokenizer,
            label_key=options.label_key,
            positive_from=options.positive_from,
            keep_labels=keeps_labels if options.keep_labels is None else options.keep_labels,
        )

    def _row_items(self, path: Path, known: RowFormat) -> Iterator[Item]:
        options, source = self._row_options(keeps_labels=known.keeps_labels), str(path)
        keys = known.keys if options.label_key is None else known.keys | {options.label_key}
        scored = self._one_key if self._options.regroup else _OneKey()
        for line in json_lines(path):
            try:
                row = row_of(line)
            except RecordError as error:
                yield Item(source, line.number, None, error)
                continue
            try:
                if not self._is_forced:
                    _refuse_other(row, known)
                record = known.read(row, options)
                if options.keep_labels:
                    scored.see(known.score_keys(row, options), line.where)
            except RecordError as error:
                yield Item(source, line.number, None, error.at(line.where))
                continue
            for key in row.keys() - keys:
                self.not_read[f"key {key!r}, which is not read"] += 1
            report_grades(known.grades(row), options, counting(self.not_read))
            yield Item(source, line.number, record)


class _OneKey:
    """Sees that scores come from one key: labels and a teacher's scores are on two scales."""

    def __init__(self) -> None:
        self._first: tuple[str, str] | None = None

    def see(self, keys: set[str], where: str) -> None:
        """Look at the keys that the scores of a row at a place come from.

        Raises:
            RecordError: There are two, or another one than in the rows before.
        """
        for key in sorted(keys):
            self._first = self._first or (key, where)
            if key != self._first[0]:
                msg = (
                    f"its scores are those of {key!r}, and {self._first[1]} has those of "
                    f"{self._first[0]!r}, which may be on another scale: take the scores out (rerank-plugins label "
                    "then gives every text one), or score every text"
                )
                raise RecordError(msg, fault="score_count")


def _refuse_other(row: dict[str, object], known: RowFormat) -> None:
    if not known.is_row(row) and (others := claims(row)):
        msg = f"a row of {others[0]} among rows of {known.name}; give each format a file of its own"
        raise RecordError(msg)


@checked_call(unchecked=("sources",))
def open_records(
    sources: str | Path | Sequence[str | Path],
    *,
    format_name: str | None = None,
    options: ReadOptions | None = None,
) -> RecordStream:
    """Open training data of any known format.

    Args:
        sources: A file (compressed with gzip or not), a folder in BEIR layout or of such files, or several of them.
        format_name: One of :data:`~rerank_plugins.training.data.detection.FORMAT_NAMES`; None tells it from the first
            rows of each file.
        options: What files alone do not say.

    Returns:
        The records; nothing but the first rows was read yet.

    Raises:
        InvalidInputError: A path is not there or named twice, or its format cannot be detected.
    """
    if format_name is not None:
        check_format(format_name)
    paths = [Path(sources)] if isinstance(sources, (str, Path)) else [Path(one) for one in sources]
    whole = {path for path in paths if path.is_dir() and (format_name == BEIR or (path / _CORPUS).is_file())}
    files = [file for path in paths for file in ([path] if path in whole else data_files(path))] or data_files(paths)
    twice = [file for file, n_times in Counter(files).items() if n_times > 1]
    if twice:
        msg = f"{str(twice[0])!r} is named twice; name it once, or a copy of it too if its rows shall count twice"
        raise InvalidInputError(msg)
    formats = {file: format_name or detect_format(file) for file in files}
    return RecordStream(formats, options or ReadOptions(), is_forced=format_name is not None)
