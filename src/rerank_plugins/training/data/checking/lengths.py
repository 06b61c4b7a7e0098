"""How much of the texts a model would see, measured on a sample of rows with its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from tokenizers import Tokenizer

from rerank_plugins.text.tokenizer import replace_lone_surrogates
from rerank_plugins.training.data.records import TrainingRecord

__all__ = ["LengthLimits", "LengthReport", "LengthSample", "RowLengths"]

_MOST_ROWS = 10_000
_HASH_RANGE = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthLimits:
    """Tokens that a run reads, special tokens counted.

    Attributes:
        pair: Of a query with one text (rerankers); only the text is cut. None for embedders.
        query: Of a query alone; None if queries are not cut on their own.
        passage: Of a text alone; None likewise.
    """

    pair: int | None = None
    query: int | None = None
    passage: int | None = None


@dataclass(frozen=True, slots=True)
class RowLengths:
    """What the limits do to one row.

    Attributes:
        query_is_cut: Whether the query is.
        n_positives: Positives of the row.
        n_cut_positives: Those that are cut.
        n_negatives: Negatives of the row.
        n_cut_negatives: Those that are cut.
        positive_tokens: Tokens of all its positives.
        lost_positive_tokens: Those of them that are cut off.
    """

    query_is_cut: bool
    n_positives: int
    n_cut_positives: int
    n_negatives: int
    n_cut_negatives: int
    positive_tokens: int
    lost_positive_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthReport:
    """Shares from 0 to 1 over the rows that were measured.

    Attributes:
        n_rows: Rows that were measured: all, or a sample of 5,000 to 10,000 that depends on the rows alone.
        pair: Tokens of a pair, as was asked.
        query: Tokens of a query, as was asked.
        passage: Tokens of a text, as was asked.
        cut_queries: Queries that are cut.
        cut_positives: Positives that are cut.
        cut_negatives: Negatives that are cut.
        lost_positive_tokens: Tokens of positives that are cut off, of all tokens of positives.
    """

    n_rows: int
    pair: int | None
    query: int | None
    passage: int | None
    cut_queries: float
    cut_positives: float
    cut_negatives: float
    lost_positive_tokens: float

    def to_mapping(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


class LengthSample:
    """Measures rows whose digest is low enough; the bar halves whenever there are too many.

    So any file gives at most 10,000 rows, spread evenly, in one pass, and the same file always the same ones.

    Args:
        tokenizer: Neither cuts nor pads.
        limits: The lengths.
    """

    def __init__(self, tokenizer: Tokenizer, limits: LengthLimits) -> None:
        self._tokenizer, self._limits = tokenizer, limits
        self._bar = _HASH_RANGE
        self._rows: dict[int, RowLengths] = {}
        self._for_pair: int = tokenizer.num_special_tokens_to_add(is_pair=True)
        self._for_one: int = tokenizer.num_special_tokens_to_add(is_pair=False)

    def measure(self, record: TrainingRecord, key: int) -> RowLengths | None:
        """Return what is cut of a row; None if it is not in the sample.

        Args:
            record: The row.
            key: Its digest.
        """
        if key >= self._bar:
            return None
        lengths = self._lengths(record)
        self._rows[key] = lengths
        if len(self._rows) > _MOST_ROWS:
            self._bar //= 2
            self._rows = {one: row for one, row in self._rows.items() if one < self._bar}
        return lengths

    def _lengths(self, record: TrainingRecord) -> RowLengths:
        texts = [record.query, *record.pos, *record.neg]
        encodings = self._tokenizer.encode_batch(
            [replace_lone_surrogates(text) for text in texts], add_special_tokens=False
        )
        query, *counts = (len(encoding.ids) for encoding in encodings)
        query_room = None if self._limits.query is None else max(self._limits.query - self._for_one, 0)
        query_read = query if query_room is None else min(query, query_room)
        room = self._room(query_read)
        pos, neg = counts[: len(record.pos)], counts[len(record.pos) :]
        lost = [0 if room is None else max(count - room, 0) for count in pos]
        return RowLengths(
            query_is_cut=query_read < query,
            n_positives=len(pos),
            n_cut_positives=sum(map(bool, lost)),
            n_negatives=len(neg),
            n_cut_negatives=sum(room is not None and count > room for count in neg),
            positive_tokens=sum(pos),
            lost_positive_tokens=sum(lost),
        )

    def _room(self, query: int) -> int | None:
        """Return the tokens of a text that are read beside a query of so many."""
        rooms = []
        if self._limits.pair is not None:
            rooms.append(max(self._limits.pair - self._for_pair - query, 0))
        if self._limits.passage is not None:
            rooms.append(max(self._limits.passage - self._for_one, 0))
        return min(rooms, default=None)

    def n_rows_with(self, name: str) -> int:
        """Return the rows of the sample for which a field of :class:`RowLengths` is not 0."""
        return sum(bool(getattr(row, name)) for row in self._rows.values())

    def report(self) -> LengthReport:
        """Return the shares."""
        rows = list(self._rows.values())

        def total(name: str) -> int:
            return sum(getattr(row, name) for row in rows)

        return LengthReport(
            n_rows=len(rows),
            pair=self._limits.pair,
            query=self._limits.query,
            passage=self._limits.passage,
            cut_queries=_share(total("query_is_cut"), len(rows)),
            cut_positives=_share(total("n_cut_positives"), total("n_positives")),
            cut_negatives=_share(total("n_cut_negatives"), total("n_negatives")),
            lost_positive_tokens=_share(total("lost_positive_tokens"), total("positive_tokens")),
        )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
