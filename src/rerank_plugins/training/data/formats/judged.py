"""Rows that were made for measuring: BCEmbedding's and MTEB's reranking rows, and our own with ``qrels``."""

from __future__ import annotations

from typing import Any

from rerank_plugins.training.data.formats.format import Row, RowFormat, RowOptions, number_of, record_of_labels, text_of
from rerank_plugins.training.data.records import RecordError, TrainingRecord

__all__ = ["BCEMBEDDING", "EVALUATION"]

_TEXTS = frozenset({"query", "pos", "neg"})


def _is_bcembedding(row: Row) -> bool:
    return "positive" in row


def _read_bcembedding(row: Row, options: RowOptions) -> TrainingRecord:
    if isinstance(row.get("query"), list):
        msg = "'query' is a list of texts (MTEB averages their vectors); give each a row of its own"
        raise RecordError(msg)
    lists = {key: row.get(key) for key in ("positive", "negative")}
    for key, value in lists.items():
        if not isinstance(value, (list, type(None))):
            msg = f"{key!r} must be a list of texts, got {value!r:.60}"
            raise RecordError(msg)
    return TrainingRecord.from_mapping(
        {"query": text_of(row, "query"), "pos": lists["positive"], "neg": lists["negative"]}
    )


def _write_bcembedding(record: TrainingRecord, options: RowOptions) -> list[dict[str, Any]]:
    return [{"query": record.query, "positive": list(record.pos), "negative": list(record.neg)}]


def _is_evaluation(row: Row) -> bool:
    return "qrels" in row


def _read_evaluation(row: Row, options: RowOptions) -> TrainingRecord:
    qrels = row["qrels"]
    if not isinstance(qrels, dict):
        msg = f"'qrels' must be an object of text to relevance, got {qrels!r:.60}"
        raise RecordError(msg)
    labelled = [(text, number_of(grade, name=f"the relevance of {text!r:.60}"), None) for text, grade in qrels.items()]
    return record_of_labels(text_of(row, "query"), labelled, options)


def _write_evaluation(record: TrainingRecord, options: RowOptions) -> list[dict[str, Any]]:
    # A text that is both counts as a positive, as in evaluation.
    return [{"query": record.query, "qrels": dict.fromkeys(record.pos, 1) | dict.fromkeys(_only_negative(record), 0)}]


def _only_negative(record: TrainingRecord) -> list[str]:
    positives = set(record.pos)
    return [text for text in record.neg if text not in positives]


def _lost_texts(record: TrainingRecord, options: RowOptions) -> list[str]:
    n_texts = len(record.pos) + len(record.neg)
    return ["texts that stand twice in a row"] * (n_texts - len({*record.pos, *record.neg}))


BCEMBEDDING = RowFormat(
    name="bcembedding",
    title='BCEmbedding and MTEB reranking: {"query", "positive": [...], "negative": [...]}',
    is_row=_is_bcembedding,
    read=_read_bcembedding,
    write=_write_bcembedding,
    holds=_TEXTS,
    keys=frozenset({"query", "positive", "negative"}),
)

EVALUATION = RowFormat(
    name="evaluation",
    title='rerank-plugins evaluate: {"query", "qrels": {text: relevance}}',
    is_row=_is_evaluation,
    read=_read_evaluation,
    write=_write_evaluation,
    holds=_TEXTS,
    keys=frozenset({"query", "qrels"}),
    grades=lambda row: row["qrels"].values(),
    also_lost=_lost_texts,
)
