"""The one row of training data: a query, texts that answer it, texts that do not, and what else is known of them.

The keys are FlagEmbedding's (``query``, ``pos``, ``neg``, ``pos_scores``, ``neg_scores``, ``prompt``, ``type``,
``query_prompt``, ``passage_prompt``), with ids beside them; so its files are read as they are. Every other format
becomes this one: :mod:`rerank_plugins.training.data.formats`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import json_object
from rerank_plugins.training.data.lines import JsonLine, data_files, json_lines
from rerank_plugins.training.data.record_checks import (
    RecordError,
    check_beside,
    check_scores,
    check_text,
    check_texts,
)

__all__ = [
    "KNOWN_KEYS",
    "RECORD_KEYS",
    "RecordError",
    "TrainingRecord",
    "read_records",
    "record_of",
    "row_of",
    "unknown_keys",
]


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """One query with its texts.

    That there are texts, and enough of them, is not asked here: mining starts from rows without negatives.
    ``rerank-plugins data check`` looks at that.

    Attributes:
        query: The query, as users write it.
        pos: Texts that answer it.
        neg: Texts that do not.
        pos_scores: A teacher's raw score for each of ``pos``; None if there is no teacher.
        neg_scores: A teacher's raw score for each of ``neg``; None likewise.
        prompt: For embedders the instruction before the query, for LLM rerankers the prompt behind the pair
            (FlagEmbedding uses the key for both); None for the model's own.
        type: FlagEmbedding's kind of task (``normal``, ``symmetric_sts``, ``only_1neg``, ...); None for ``normal``.
        query_id: Id of the query; None if it has none.
        pos_ids: Id of each of ``pos``; None if they have none.
        neg_ids: Id of each of ``neg``; None likewise.
        query_prompt: Instruction of a reranker before the query; None for the model's own.
        passage_prompt: Instruction of a reranker before each text; None likewise.
        answers: What a language model should say, given the right text (LLM-Embedder); None if that is not known.

    Raises:
        RecordError: A field has another type, a list of scores or ids is not as long as its texts, or a score is
            NaN, infinite or too large for float32.
    """

    query: str
    pos: tuple[str, ...] = ()
    neg: tuple[str, ...] = ()
    pos_scores: tuple[float, ...] | None = None
    neg_scores: tuple[float, ...] | None = None
    prompt: str | None = None
    type: str | None = None
    query_id: str | None = None
    pos_ids: tuple[str, ...] | None = None
    neg_ids: tuple[str, ...] | None = None
    query_prompt: str | None = None
    passage_prompt: str | None = None
    answers: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Check every field."""
        for name in RECORD_KEYS:
            value = getattr(self, name)
            if value is not None or name in _REQUIRED:
                _CHECKS[name](name, value)
        check_beside("pos", self.pos, self.pos_scores, self.pos_ids)
        check_beside("neg", self.neg, self.neg_scores, self.neg_ids)

    @classmethod
    def from_mapping(cls, row: Mapping[str, Any], *, where: str | None = None) -> TrainingRecord:
        """Return the record of a row as JSON has it: lists for texts, whole numbers allowed as ids, null for nothing.

        Keys that mean nothing here are left out (:func:`unknown_keys` names them), unless one looks like a misspelt
        key of the schema. LLM-Embedder's ``teacher_scores`` (positives first), ``pos_index``, ``neg_index`` are read.

        Args:
            row: The row.
            where: The place for errors, such as ``train.jsonl:17``; None if the caller adds it.

        Raises:
            RecordError: It is no record; the message begins with ``where``.
        """
        try:
            _refuse_misspelt(row)
            return cls(**_fields_of(row))
        except RecordError as error:
            if where is None:
                raise
            raise error.at(where) from None

    def to_mapping(self) -> dict[str, Any]:
        """Return the row as JSON has it; ``query``, ``pos`` and ``neg`` always, what is None not at all."""
        row: dict[str, Any] = {}
        for name in RECORD_KEYS:
            value = getattr(self, name)
            if value is not None:
                row[name] = list(value) if isinstance(value, tuple) else value
        return row


RECORD_KEYS = tuple(one.name for one in fields(TrainingRecord))
"""The keys of a row, in the order in which they are written."""

_REQUIRED = ("query", "pos", "neg")
_ALIASES = {"pos_index": "pos_ids", "neg_index": "neg_ids"}
_TEACHER_SCORES = "teacher_scores"
KNOWN_KEYS = (*RECORD_KEYS, *_ALIASES, _TEACHER_SCORES)

_IGNORED = frozenset({"batch_size", "train_group_size", "category", "task", "history", "id", "_id", "source"})
"""Keys of FlagEmbedding's, LLM-Embedder's and people's rows that are no misspelling of one that counts."""


def read_records(sources: str | Path | Sequence[str | Path]) -> Iterator[TrainingRecord]:
    """Yield the records of JSON lines files in this schema, one at a time: the files may be larger than memory.

    Args:
        sources: A file (``.jsonl``, ``.json`` with one object a line, or either compressed with gzip), a folder of such
            files, or several of both; read in this order.

    Raises:
        InvalidInputError: A file cannot be read.
        RecordError: A line is no record; the message names file and line.
    """
    for path in data_files(sources):
        for line in json_lines(path):
            yield record_of(line)


def record_of(line: JsonLine) -> TrainingRecord:
    """Return the record of a line.

    Raises:
        RecordError: It is none; the message names file and line.
    """
    return TrainingRecord.from_mapping(row_of(line), where=line.where)


def row_of(line: JsonLine) -> dict[str, Any]:
    """Return the object of a line.

    Raises:
        RecordError: It holds none; the message names file and line.
    """
    try:
        return json_object(line.text, where=line.where)
    except InvalidInputError as error:
        raise RecordError(str(error), fault="not_json") from error


_EXAMPLE = '{"query": "...", "pos": ["..."], "neg": ["..."]}'


def unknown_keys(row: Mapping[str, Any]) -> list[str]:
    """Return the keys of a row that :meth:`TrainingRecord.from_mapping` leaves out."""
    return [key for key in row if key not in KNOWN_KEYS]


def _refuse_misspelt(row: Mapping[str, Any]) -> None:
    for key in unknown_keys(row):
        close = _meant(key)
        if close is not None and close not in row:
            msg = f"there is no key {key!r}; did you mean {close!r}? Rename it, or take it out"
            raise RecordError(msg, fault="misspelt_key")


@lru_cache(maxsize=256)
def _meant(key: str) -> str | None:
    # Neg is nearer to neg than a ratio of letters says.
    close = get_close_matches(key.casefold(), KNOWN_KEYS, n=1, cutoff=0.8) if key not in _IGNORED else []
    return close[0] if close else None


def _fields_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that a row gives, with tuples for lists and texts for ids; they are checked later."""
    values: dict[str, Any] = {}
    for key, value in row.items():
        if value is not None and key in KNOWN_KEYS:
            name = _ALIASES.get(key, key)
            if name in values:
                msg = f"{name!r} and its other name hold the same ids; keep one of them"
                raise RecordError(msg)
            values[name] = value
    if "query" not in values:
        msg = f"'query' is missing; a row is an object such as {_EXAMPLE}"
        raise RecordError(msg)
    scores = values.pop(_TEACHER_SCORES, None)
    if scores is not None:
        values |= _split_scores(scores, values)
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(map(_as_id, value)) if name in _IDS else tuple(value)
    if "query_id" in values:
        values["query_id"] = _as_id(values["query_id"])
    return values


_IDS = ("pos_ids", "neg_ids")


def _as_id(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _split_scores(scores: object, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return LLM-Embedder's one list of scores, positives first, as the two of this schema."""
    both = [name for name in ("pos_scores", "neg_scores") if name in values]
    pos, neg = values.get("pos", []), values.get("neg", [])
    if both:
        msg = f"{_TEACHER_SCORES!r} and {both[0]!r} both hold scores; keep one of them"
        raise RecordError(msg)
    if not isinstance(scores, list) or not isinstance(pos, list) or not isinstance(neg, list):
        msg = f"{_TEACHER_SCORES!r} must be one list of numbers, first those of the list 'pos', then those of 'neg'"
        raise RecordError(msg)
    if len(scores) != len(pos) + len(neg):
        msg = f"{_TEACHER_SCORES!r} has {len(scores)} scores for {len(pos)} pos and {len(neg)} neg texts"
        raise RecordError(msg, fault="score_count")
    return {"pos_scores": scores[: len(pos)], "neg_scores": scores[len(pos) :]}


_CHECKS: dict[str, Callable[[str, object], None]] = dict.fromkeys(RECORD_KEYS, check_text)
_CHECKS |= dict.fromkeys(("pos", "neg", "pos_ids", "neg_ids", "answers"), check_texts)
_CHECKS |= dict.fromkeys(("pos_scores", "neg_scores"), check_scores)
