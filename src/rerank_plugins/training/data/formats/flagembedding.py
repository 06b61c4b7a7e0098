"""FlagEmbedding's rows, and ours, which are FlagEmbedding's with ids and answers beside them.

New rows: ``FlagEmbedding/abc/finetune/{reranker,embedder}/AbsDataset.py`` (1.3 and later). Old rows:
``research/reranker``, ``research/baai_general_embedding``, ``research/BGE_M3``, ``research/llm_reranker`` (1.1, 1.2).
LLM-Embedder's (``research/llm_embedder``) are read with ours.
"""

from __future__ import annotations

from typing import Any

from rerank_plugins.training.data.formats.format import Row, RowFormat, RowOptions
from rerank_plugins.training.data.records import KNOWN_KEYS, RECORD_KEYS, TrainingRecord

__all__ = ["FLAGEMBEDDING", "FLAGEMBEDDING_OLD", "RECORDS"]

_OLD = ("query", "pos", "neg", "pos_scores", "neg_scores", "prompt")
_NEW = (*_OLD, "type", "query_prompt", "passage_prompt")
_OTHERS = frozenset({"content", "hits", "qrels", "positive", "negative", "qry", "relevant_docs"})
"""Keys of the texts in other formats' rows."""
_OF_EMBEDDING = frozenset({"scores", "prompt_for_query"})
"""RAG-Retrieval's keys beside FlagEmbedding's."""


def _is_row(row: Row) -> bool:
    """Return whether a row has texts by our keys, or nothing by those of another format."""
    if "query" not in row or _OF_EMBEDDING & row.keys():
        return False
    return bool({"pos", "neg"} & row.keys()) or not _OTHERS & row.keys()


def _read(row: Row, options: RowOptions) -> TrainingRecord:
    return TrainingRecord.from_mapping(row)


def _write(record: TrainingRecord, options: RowOptions) -> list[dict[str, Any]]:
    return [record.to_mapping()]


def _write_new(record: TrainingRecord, options: RowOptions) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.to_mapping().items() if key in _NEW}]


def _write_old(record: TrainingRecord, options: RowOptions) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.to_mapping().items() if key in _OLD}]


RECORDS = RowFormat(
    name="records",
    title='ours: {"query", "pos", "neg", ...}; FlagEmbedding\'s and LLM-Embedder\'s rows are read as they are',
    is_row=_is_row,
    read=_read,
    write=_write,
    holds=frozenset(RECORD_KEYS),
    keys=frozenset(KNOWN_KEYS),
)

FLAGEMBEDDING = RowFormat(
    name="flagembedding",
    title='FlagEmbedding 1.3 and later: {"query", "pos", "neg", "pos_scores", "neg_scores", "prompt", "type", ...}',
    is_row=_is_row,
    read=_read,
    write=_write_new,
    holds=frozenset(_NEW),
    keys=frozenset(KNOWN_KEYS),
)

FLAGEMBEDDING_OLD = RowFormat(
    name="flagembedding-old",
    title='FlagEmbedding 1.1 and 1.2: {"query", "pos", "neg"}, with scores for BGE-M3 and prompt for LLM rerankers',
    is_row=_is_row,
    read=_read,
    write=_write_old,
    holds=frozenset(_OLD),
    keys=frozenset(KNOWN_KEYS),
)
