"""What a format of training rows is: how its rows are recognised, read as records, and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rerank_plugins.training.data.record_checks import RecordError, is_finite
from rerank_plugins.training.data.records import RECORD_KEYS, TrainingRecord

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = [
    "LabelledText",
    "Row",
    "RowFormat",
    "RowOptions",
    "has_one_sided_scores",
    "labelled_texts",
    "number_of",
    "record_of_labels",
    "report_grades",
    "text_of",
]

Row = Mapping[str, Any]

LabelledText = tuple[str, float, "float | None"]
"""A text, its label, and a teacher's score if the row has one beside the label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOptions:
    """What rows alone do not say.

    Attributes:
        tokenizer: What made the token ids of luyug/Reranker's rows; None if there are none.
        label_key: Key of the labels in RAG-Retrieval's rows (its ``train_label_key``); None takes ``label``, else
            ``score``.
        positive_from: The least label of a positive.
        keep_labels: Whether labels become the record's scores; False keeps only on which side of ``positive_from`` they
            lie.
    """

    tokenizer: Tokenizer | None = None
    label_key: str | None = None
    positive_from: float = 0.5
    keep_labels: bool = True


_GRADES = "judgements other than 1 and 0, of which only positive or negative is kept (--keep-labels: as a score)"


def _nothing(record: TrainingRecord, options: RowOptions) -> list[str]:
    return []


def _no_grades(row: Row) -> Iterable[float]:
    return ()


def _no_keys(row: Row, options: RowOptions) -> set[str]:
    return set()


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFormat:
    """One format of JSON lines.

    Attributes:
        name: What ``--format`` and ``--to`` call it.
        title: Whose it is, and what a row looks like.
        is_row: Whether a row is one, by its keys.
        read: Makes a record of a row; raises RecordError without a place.
        write: Makes the rows of a record.
        holds: Fields of a record that its rows can hold.
        keys: Keys that are read; others are reported.
        joins_rows: Whether rows of one query that stand together are one record.
        keeps_labels: Whether labels become scores unless the user says otherwise.
        needs_tokenizer: Whether rows are token ids.
        same_keys: Whether the trainer takes the first row's keys for those of all rows.
        grades: Judgements of a row that may be other than right and wrong.
        score_keys: Keys that a row's scores come from, where labels can stand for them.
        also_lost: Names what of a record its rows do not hold although they could (in one row not everything fits).
    """

    name: str
    title: str
    is_row: Callable[[Row], bool]
    read: Callable[[Row, RowOptions], TrainingRecord]
    write: Callable[[TrainingRecord, RowOptions], list[dict[str, Any]]]
    holds: frozenset[str]
    keys: frozenset[str]
    joins_rows: bool = False
    keeps_labels: bool = False
    needs_tokenizer: bool = False
    same_keys: bool = False
    grades: Callable[[Row], Iterable[float]] = _no_grades
    score_keys: Callable[[Row, RowOptions], set[str]] = _no_keys
    also_lost: Callable[[TrainingRecord, RowOptions], list[str]] = _nothing

    def lost(self, record: TrainingRecord, options: RowOptions) -> list[str]:
        """Return what of a record its rows do not hold, in words for people."""
        # An empty text says something (no prompt, whatever the run's is), an empty list nothing.
        beyond = [name for name in RECORD_KEYS if name not in self.holds and getattr(record, name) not in (None, ())]
        return [*beyond, *self.also_lost(record, options)]


def report_grades(grades: Iterable[float], options: RowOptions, report: Callable[[str], None]) -> None:
    """Report each judgement that is neither 1 nor 0, unless it is kept as a score."""
    if not options.keep_labels:
        for grade in grades:
            if grade not in (0, 1):
                report(_GRADES)


def record_of_labels(query: str, labelled: Sequence[LabelledText], options: RowOptions) -> TrainingRecord:
    """Return the record of judged texts: those with ``positive_from`` or more are its positives, in their order.

    A score beside the label is kept; without one the label is, if the options keep labels.

    Raises:
        RecordError: Some texts have a score and others not: labels in their place would be on another scale.
    """
    sides: tuple[list[LabelledText], list[LabelledText]] = ([], [])
    for one in labelled:
        sides[one[1] < options.positive_from].append(one)
    pos, neg = ([text for text, _, _ in side] for side in sides)
    n_scores = sum(score is not None for _, _, score in labelled)
    if 0 < n_scores < len(labelled):
        msg = f"{n_scores} of {len(labelled)} texts have a score; score them all, or take the scores out"
        raise RecordError(msg, fault="score_count")
    has_scores = bool(n_scores)
    if not has_scores and not options.keep_labels:
        return TrainingRecord(query, tuple(pos), tuple(neg))
    pos_scores, neg_scores = (
        tuple(float(label) if score is None or not has_scores else float(score) for _, label, score in side)
        for side in sides
    )
    return TrainingRecord(query, tuple(pos), tuple(neg), pos_scores, neg_scores)


def labelled_texts(record: TrainingRecord) -> list[LabelledText]:
    """Return the texts of a record with label 1 or 0 and their scores, positives first.

    Scores of one side only are left out: who reads the rows would take labels for those of the other.
    """
    sides = ((record.pos, record.pos_scores, 1.0), (record.neg, record.neg_scores, 0.0))
    is_scored = not has_one_sided_scores(record)
    return [
        (text, label, scores[position] if is_scored and scores is not None else None)
        for texts, scores, label in sides
        for position, text in enumerate(texts)
    ]


def has_one_sided_scores(record: TrainingRecord) -> bool:
    """Return whether the positives have scores and the negatives have none, or the other way round."""
    sides = ((record.pos, record.pos_scores), (record.neg, record.neg_scores))
    return len({scores is None for texts, scores in sides if texts}) > 1


def text_of(row: Row, key: str) -> str:
    """Return a text of a row.

    Raises:
        RecordError: It is missing or no text.
    """
    value = row.get(key)
    if not isinstance(value, str):
        msg = f"{key!r} must be a text, got {value!r:.60}"
        raise RecordError(msg)
    return value


def number_of(value: object, *, name: str) -> float:
    """Return a label, a score or a relevance.

    Args:
        value: What the row has.
        name: How the error calls it.

    Raises:
        RecordError: It is no number, or one that is NaN, infinite or too large for float32.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        msg = f"{name} must be a number, got {value!r:.60}"
        raise RecordError(msg)
    if not is_finite(value):
        msg = f"{name} is {value!r:.60}; take the row out, or judge it again"
        raise RecordError(msg, fault="score_not_finite")
    return value
