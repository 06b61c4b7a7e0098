"""RAG-Retrieval's rows: ``rag_retrieval/train/{reranker,embedding,colbert}/data.py``."""

from __future__ import annotations

from typing import Any

from rerank_plugins.training.data.formats.format import (
    LabelledText,
    Row,
    RowFormat,
    RowOptions,
    has_one_sided_scores,
    labelled_texts,
    number_of,
    record_of_labels,
    text_of,
)
from rerank_plugins.training.data.records import RecordError, TrainingRecord

__all__ = ["EMBEDDING", "GROUPED", "POINTWISE"]

_LABEL, _SCORE = "label", "score"
_SCORED = frozenset({"query", "pos", "neg", "pos_scores", "neg_scores"})


def _is_pointwise(row: Row) -> bool:
    return "content" in row


def _is_grouped(row: Row) -> bool:
    return "hits" in row


def _is_embedding(row: Row) -> bool:
    return "pos" in row and bool({"scores", "prompt_for_query"} & row.keys())


def _read_pointwise(row: Row, options: RowOptions) -> TrainingRecord:
    return record_of_labels(text_of(row, "query"), [_labelled(row, options)], options)


def _read_grouped(row: Row, options: RowOptions) -> TrainingRecord:
    hits = row["hits"]
    if not isinstance(hits, list):
        msg = f"'hits' must be a list of objects with 'content' and 'label', got {hits!r:.60}"
        raise RecordError(msg)
    return record_of_labels(
        text_of(row, "query"), [_hit(hit, place, options) for place, hit in enumerate(hits)], options
    )


def _hit(hit: object, place: int, options: RowOptions) -> LabelledText:
    if not isinstance(hit, dict):
        msg = f"hits[{place}] must be an object with 'content' and 'label', got {hit!r:.60}"
        raise RecordError(msg)
    try:
        return _labelled(hit, options)
    except RecordError as error:
        place_in_row = f"hits[{place}]"
        raise error.at(place_in_row) from None


def _labelled(row: Row, options: RowOptions) -> LabelledText:
    """Return a judged text; a missing label is an error here, where RAG-Retrieval takes 0 without a word."""
    key = options.label_key or (_LABEL if _LABEL in row else _SCORE)
    label = _number(row, key)
    has_score = key != _SCORE and row.get(_SCORE) is not None
    return text_of(row, "content"), label, _number(row, _SCORE) if has_score else None


def _score_key(row: Row, options: RowOptions) -> str:
    """Return the key of a text's score, or that of its label where this stands for one."""
    return _SCORE if row.get(_SCORE) is not None else options.label_key or _LABEL


def _pointwise_keys(row: Row, options: RowOptions) -> set[str]:
    return {_score_key(row, options)}


def _grouped_keys(row: Row, options: RowOptions) -> set[str]:
    return {_score_key(hit, options) for hit in row["hits"]}


def _number(row: Row, key: str) -> float:
    name = f"{key!r}" if key in row else f"{key!r} (the key of the labels is label_key, --label-key)"
    return number_of(row.get(key), name=name)


def _rows_of(record: TrainingRecord) -> list[dict[str, Any]]:
    return [
        {"content": text, _LABEL: int(label), **({} if score is None else {_SCORE: score})}
        for text, label, score in labelled_texts(record)
    ]


def _lost_of_one_side(record: TrainingRecord, options: RowOptions) -> list[str]:
    names = ("pos_scores", "neg_scores")
    return [name for name in names if getattr(record, name)] if has_one_sided_scores(record) else []


def _write_pointwise(record: TrainingRecord, options: RowOptions) -> list[dict[str, Any]]:
    return [{"query": record.query, **row} for row in _rows_of(record)]


def _write_grouped(record: TrainingRecord, options: RowOptions) -> list[dict[str, Any]]:
    return [{"query": record.query, "hits": _rows_of(record)}]


def _read_embedding(row: Row, options: RowOptions) -> TrainingRecord:
    mapped = {key: value for key, value in row.items() if key not in ("scores", "prompt_for_query")}
    for ours, theirs in (("pos_scores", "scores"), ("prompt", "prompt_for_query")):
        if row.get(theirs) is not None:
            if mapped.get(ours) is not None:
                msg = f"{ours!r} and {theirs!r} mean the same; keep one of them"
                raise RecordError(msg)
            mapped[ours] = row[theirs]
    return TrainingRecord.from_mapping(mapped)


def _write_embedding(record: TrainingRecord, options: RowOptions) -> list[dict[str, Any]]:
    row: dict[str, Any] = {"query": record.query, "pos": list(record.pos)}
    # A list of negatives that is empty divides by zero there.
    if record.neg:
        row["neg"] = list(record.neg)
    elif record.pos_scores is not None:
        row["scores"] = list(record.pos_scores)
    return [row if record.prompt is None else {**row, "prompt_for_query": record.prompt}]


def _lost_scores(record: TrainingRecord, options: RowOptions) -> list[str]:
    return ["pos_scores"] if record.neg and record.pos_scores else []


POINTWISE = RowFormat(
    name="rag-retrieval-pointwise",
    title='RAG-Retrieval reranker, a pair a row: {"query", "content", "label" (or "score")}',
    is_row=_is_pointwise,
    read=_read_pointwise,
    write=_write_pointwise,
    holds=_SCORED,
    also_lost=_lost_of_one_side,
    keys=frozenset({"query", "content", _LABEL, _SCORE}),
    joins_rows=True,
    keeps_labels=True,
    score_keys=_pointwise_keys,
)

GROUPED = RowFormat(
    name="rag-retrieval-grouped",
    title='RAG-Retrieval reranker, a query a row: {"query", "hits": [{"content", "label"}]}',
    is_row=_is_grouped,
    read=_read_grouped,
    write=_write_grouped,
    holds=_SCORED,
    also_lost=_lost_of_one_side,
    keys=frozenset({"query", "hits"}),
    keeps_labels=True,
    score_keys=_grouped_keys,
)

EMBEDDING = RowFormat(
    name="rag-retrieval-embedding",
    title='RAG-Retrieval embedder and ColBERT: {"query", "pos"} and "neg" or "scores", "prompt_for_query"',
    is_row=_is_embedding,
    read=_read_embedding,
    write=_write_embedding,
    holds=frozenset({"query", "pos", "neg", "pos_scores", "prompt"}),
    also_lost=_lost_scores,
    same_keys=True,
    keys=frozenset({"query", "pos", "neg", "scores", "prompt_for_query", "pos_scores", "neg_scores", "prompt"}),
)
