"""Training data checked in one pass, in flat memory, before anything is trained on them.

Memory: 96 bytes a row for what came before, 96 bytes a row of the dev set, one row, and the sample of lengths (some
MB). So a million rows take about 100 MB, whatever their texts are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.data.checking.findings import Findings, shown
from rerank_plugins.training.data.checking.lengths import LengthSample
from rerank_plugins.training.data.checking.options import CheckOptions
from rerank_plugins.training.data.checking.report import DataReport
from rerank_plugins.training.data.checking.rows import faults_of_row
from rerank_plugins.training.data.checking.scripts import script_of, shares
from rerank_plugins.training.data.digests import DigestMap, alike, digest
from rerank_plugins.training.data.items import Item
from rerank_plugins.training.data.reading import ReadOptions, RecordStream, open_records
from rerank_plugins.training.data.records import TrainingRecord
from rerank_plugins.training.data.tokens import open_tokenizer
from rerank_plugins.training.row_kinds import PLAIN, SourceTask

__all__ = ["DevTexts", "check_data", "check_stream"]

_LINE_BITS = 40
_PROMPTS = ("prompt", "query_prompt", "passage_prompt")


@checked_call(unchecked=("sources", "dev", "on_row"))
def check_data(
    sources: str | Path | Sequence[str | Path],
    *,
    dev: str | Path | Sequence[str | Path] | None = None,
    format_name: str | None = None,
    options: CheckOptions | None = None,
    read_options: ReadOptions | None = None,
    on_row: Callable[[], object] | None = None,
) -> DataReport:
    """Check training data in any known format.

    Args:
        sources: The data, as :func:`~rerank_plugins.training.data.reading.open_records` takes them.
        dev: The dev set, in any known format: queries and positives that stand in both are found. None without one.
        format_name: Format of ``sources``; None detects it from their rows. The dev set's is always detected.
        options: What the data are for.
        read_options: What files alone do not say.
        on_row: Called after each row, for a progress bar.

    Returns:
        The report; :meth:`DataReport.raise_on_errors` stops a run.

    Raises:
        InvalidInputError: A file is not there or its format cannot be detected; the dev set is empty or has a bad row.
        ModelError: The tokenizer cannot be read.
    """
    options, read_options = options or CheckOptions(), read_options or ReadOptions()
    stream = open_records(sources, format_name=format_name, options=read_options)
    known = None if dev is None else _dev_texts(open_records(dev, options=read_options))
    return check_stream(stream, known, options, on_row=on_row)


def check_stream(
    stream: RecordStream, dev: DevTexts | None, options: CheckOptions, *, on_row: Callable[[], object] | None = None
) -> DataReport:
    """Check training data that are open.

    Args:
        stream: The data.
        dev: The dev set; None without one.
        options: What the data are for.
        on_row: Called after each row.
    """
    check = _Check(options, dev)
    for item in stream.items():
        check.see(item)
        if on_row is not None:
            on_row()
    return check.report(stream)


def _key(text: str) -> int:
    return digest((alike(text),))


class DevTexts:
    """Digests of a dev set's queries and positives.

    Attributes:
        queries: Of the queries.
        positives: Of the texts that answer them.
        n_records: How many queries, or rows, were added.
    """

    def __init__(self) -> None:
        self.queries, self.positives, self.n_records = DigestMap(), DigestMap(), 0

    def add(self, query: str, positives: Iterable[str]) -> None:
        """Add a query with what answers it."""
        self.n_records += 1
        self.queries.first(_key(query), 0)
        for text in positives:
            self.positives.first(_key(text), 0)


def _dev_texts(stream: RecordStream) -> DevTexts:
    known = DevTexts()
    for record in stream:
        known.add(record.query, record.pos)
    if not known.n_records:
        msg = f"the dev set ({', '.join(map(str, stream.formats))}) is empty; name one with rows, or none"
        raise InvalidInputError(msg)
    return known


class _Check:
    def __init__(self, options: CheckOptions, dev: DevTexts | None) -> None:
        self._options, self._dev = options, dev
        self._findings, self._counts = Findings(), Counter[str]()
        self._queries, self._rows = DigestMap(), DigestMap()
        self._sources: list[str] = []
        self._scripts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._fewest: int | None = None
        self._least, self._most = float("inf"), float("-inf")
        self._without: dict[str, list[str]] = {}
        self._sample = (
            None if options.tokenizer is None else LengthSample(open_tokenizer(options.tokenizer), options.limits)
        )

    def see(self, item: Item) -> None:
        """Look at one row."""
        if item.error is not None:
            self._counts["bad"] += 1
            self._findings.add(item.error.fault, str(item.error))
        if item.record is None:
            return
        record, where = item.record, item.where
        self._counts["records"] += 1
        for kind, example in faults_of_row(record):
            self._findings.add(kind, f"{where}: {example}")
        self._see_negatives(record, where)
        self._see_scores(record, where)
        self._see_others(item, record)
        self._see_dev(record, where)
        self._see_scripts(record)

    def _see_negatives(self, record: TrainingRecord, where: str) -> None:
        n_negatives = len(record.neg)
        self._counts["positives"] += len(record.pos)
        self._counts["negatives"] += n_negatives
        self._fewest = n_negatives if self._fewest is None else min(self._fewest, n_negatives)
        if not n_negatives:
            self._lacks("negatives", f"{where}: query {shown(record.query)}")
            return
        size, kind = self._options.group_size, record.type or PLAIN
        if self._options.reads_types:
            size = SourceTask(kind, n_negatives).texts_of_group(size)
        elif self._options.reads_types is False and kind != PLAIN:
            self._findings.add("unread_type", f"{where}: {kind!r}")
        if n_negatives < size - 1:
            self._findings.add("few_negatives", f"{where}: {n_negatives} of {size - 1}")

    def _see_scores(self, record: TrainingRecord, where: str) -> None:
        scores = (*(record.pos_scores or ()), *(record.neg_scores or ()))
        if scores:
            self._least, self._most = min(self._least, *scores), max(self._most, *scores)
            self._counts["with_several_scores"] += len(scores) > 1
            self._counts["with_differing_scores"] += len(set(scores)) > 1
            # Labels of 0 and 1 (or -1 and 1) are kept as scores too, and are no probabilities of a teacher.
            self._counts["in_between"] += bool(set(scores) - {-1.0, 0.0, 1.0})
        if scores and len(scores) == len(record.pos) + len(record.neg):
            self._counts["scored"] += 1
        else:
            self._lacks("scores", f"{where}: query {shown(record.query)}")
        for name in _PROMPTS:
            if getattr(record, name) is None:
                self._lacks(name, f"{where}: no {name!r}, query {shown(record.query)}")

    def _see_others(self, item: Item, record: TrainingRecord) -> None:
        place, where = self._place(item), item.where
        before = self._queries.first(_key(record.query), place)
        row = digest((record.query, *record.pos, "", *record.neg))
        row_before = self._rows.first(row, place)
        if row_before is not None:
            self._findings.add("repeated_row", f"{where}: as {self._named(row_before)}")
        elif before is not None:
            self._findings.add("repeated_query", f"{where}: query {shown(record.query)}, as {self._named(before)}")
        lengths = None if self._sample is None else self._sample.measure(record, row)
        if lengths is not None and lengths.n_cut_positives:
            self._findings.add("cut_positive", f"{where}: {lengths.n_cut_positives} of them", count=0)
        if lengths is not None and lengths.query_is_cut:
            self._findings.add("cut_query", f"{where}: query {shown(record.query)}", count=0)

    def _see_dev(self, record: TrainingRecord, where: str) -> None:
        if self._dev is None:
            return
        if _key(record.query) in self._dev.queries:
            self._findings.add("dev_query", f"{where}: query {shown(record.query)}")
        shared = next((text for text in record.pos if _key(text) in self._dev.positives), None)
        if shared is not None:
            self._findings.add("dev_positive", f"{where}: text {shown(shared)}")

    def _see_scripts(self, record: TrainingRecord) -> None:
        query = script_of(record.query)
        self._scripts[0][query] += 1
        if record.pos:
            positive = script_of(record.pos[0])
            self._scripts[1][positive] += 1
            self._counts["other_script"] += positive != query

    def _lacks(self, what: str, example: str) -> None:
        """Count a row without something that may be missing from all rows, but not from some."""
        self._counts[f"without {what}"] += 1
        kept = self._without.setdefault(what, [])
        if len(kept) < 3:
            kept.append(example)

    def _place(self, item: Item) -> int:
        if not self._sources or self._sources[-1] != item.source:
            self._sources.append(item.source)
        return len(self._sources) - 1 << _LINE_BITS | item.number

    def _named(self, place: int) -> str:
        return f"{self._sources[place >> _LINE_BITS]}:{place & (1 << _LINE_BITS) - 1}"

    def report(self, stream: RecordStream) -> DataReport:
        """Return what was found, after the last row."""
        self._conclude()
        counts = self._counts
        queries, positives = self._scripts
        return DataReport(
            formats={str(path): name for path, name in stream.formats.items()},
            n_records=counts["records"],
            n_bad_rows=counts["bad"],
            n_positives=counts["positives"],
            n_negatives=counts["negatives"],
            fewest_negatives=self._fewest or 0,
            n_scored=counts["scored"],
            n_dev=None if self._dev is None else self._dev.n_records,
            query_scripts=shares(queries),
            positive_scripts=shares(positives),
            other_script=counts["other_script"] / max(sum(positives.values()), 1),
            lengths=None if self._sample is None else self._sample.report(),
            findings=self._findings.found(self._options.allow),
            notes=dict(stream.not_read),
        )

    def _conclude(self) -> None:
        """Judge what only all rows together show."""
        counts, n_records = self._counts, self._counts["records"]
        if not n_records:
            self._findings.add("no_rows")
            return
        is_reranker = self._options.task == "reranker"
        self._missing("negatives", "no_negative" if is_reranker else "no_negative_in_some", even_from_all=is_reranker)
        needs_scores = self._options.needs_scores
        self._missing("scores", "no_scores" if needs_scores else "some_scores", even_from_all=needs_scores)
        for name in _PROMPTS:
            self._missing(name, "some_prompts", even_from_all=False)
        if counts["scored"]:
            if counts["with_several_scores"] and not counts["with_differing_scores"]:
                self._findings.add("all_scores_constant", f"all are {self._least:g}", count=counts["scored"])
            elif self._counts["in_between"] and self._least >= -1.0 and self._most <= 1.0:
                self._findings.add("scores_are_probabilities", f"from {self._least:g} to {self._most:g}")
        if self._sample is not None:
            self._findings.add("cut_positive", count=self._sample.n_rows_with("n_cut_positives"))
            self._findings.add("cut_query", count=self._sample.n_rows_with("query_is_cut"))

    def _missing(self, what: str, kind: str, *, even_from_all: bool) -> None:
        n_without = self._counts[f"without {what}"]
        if n_without and (even_from_all or n_without < self._counts["records"]):
            for example in self._without[what]:
                self._findings.add(kind, example, count=0)
            self._findings.add(kind, count=n_without)
