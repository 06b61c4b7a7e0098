"""luyug/Reranker's rows of token ids: ``src/reranker/data.py`` (GroupedTrainDataset)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.tokenizer import replace_lone_surrogates
from rerank_plugins.training.data.formats.format import Row, RowFormat, RowOptions
from rerank_plugins.training.data.records import RecordError, TrainingRecord

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["LUYUG"]

_HIGHEST = 1 << 31
_SHAPE = '{"qry": {"qid", "query": [ids]}, "pos": [{"pid", "passage": [ids]}], "neg": [...]}'


def _is_row(row: Row) -> bool:
    return "qry" in row


def _read(row: Row, options: RowOptions) -> TrainingRecord:
    query_id, query = _entry(row.get("qry"), "qid", "query", options)
    sides = {side: [_entry(one, "pid", "passage", options) for one in _list(row, side)] for side in ("pos", "neg")}
    texts = {side: [text for _, text in entries] for side, entries in sides.items()}
    ids = {f"{side}_ids": _ids(entries) for side, entries in sides.items()}
    return TrainingRecord.from_mapping({"query": query, "query_id": query_id or None, **texts, **ids})


def _ids(entries: Sequence[tuple[str, str]]) -> list[str] | None:
    ids = [key for key, _ in entries]
    return ids if any(ids) else None


def _list(row: Row, side: str) -> list[Any]:
    value = row.get(side)
    if not isinstance(value, list):
        msg = f"{side!r} must be a list; a row is {_SHAPE}"
        raise RecordError(msg)
    return value


def _entry(entry: object, id_key: str, key: str, options: RowOptions) -> tuple[str, str]:
    if not isinstance(entry, dict) or key not in entry:
        msg = f"expected an object with {id_key!r} and {key!r}, got {entry!r:.60}; a row is {_SHAPE}"
        raise RecordError(msg)
    value, key_value = entry[key], entry.get(id_key)
    return "" if key_value is None else str(key_value), value if isinstance(value, str) else _decoded(value, options)


def _decoded(ids: object, options: RowOptions) -> str:
    tokenizer = _tokenizer(options)
    whole = isinstance(ids, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in ids)
    if not isinstance(ids, list) or not whole:
        msg = f"expected a list of token ids, got {ids!r:.60}"
        raise RecordError(msg)
    # Decoding leaves out what it does not know, which would hide that this is the wrong tokenizer.
    unknown = next((one for one in ids if not 0 <= one < _HIGHEST or tokenizer.id_to_token(one) is None), None)
    if unknown is not None:
        msg = f"the tokenizer has no token {unknown}: another one made these ids; name that one with --tokenizer"
        raise RecordError(msg)
    return str(tokenizer.decode(ids, skip_special_tokens=False))


def _tokenizer(options: RowOptions) -> Tokenizer:
    if options.tokenizer is None:
        msg = (
            "luyug/Reranker's rows are token ids, and the texts can only be had back from the tokenizer that made "
            "them: name its folder with tokenizer=... (--tokenizer)"
        )
        raise InvalidInputError(msg)
    return options.tokenizer


def _write(record: TrainingRecord, options: RowOptions) -> list[dict[str, Any]]:
    tokenizer = _tokenizer(options)

    def encoded(text: str) -> list[int]:
        return _encoded(text, tokenizer)

    def entries(texts: Sequence[str], ids: Sequence[str] | None) -> list[dict[str, Any]]:
        named = ids or [""] * len(texts)
        return [{"pid": key, "passage": encoded(text)} for key, text in zip(named, texts, strict=True)]

    query = {"qid": record.query_id or "", "query": encoded(record.query)}
    return [{"qry": query, "pos": entries(record.pos, record.pos_ids), "neg": entries(record.neg, record.neg_ids)}]


def _encoded(text: str, tokenizer: Tokenizer) -> list[int]:
    return list(tokenizer.encode(replace_lone_surrogates(text), add_special_tokens=False).ids)


def _changed(record: TrainingRecord, options: RowOptions) -> list[str]:
    """Return a sentence for each text whose ids are read as another one: small letters, other spaces, unknown signs."""
    tokenizer = _tokenizer(options)
    texts = (record.query, *record.pos, *record.neg)
    ids = [_encoded(text, tokenizer) for text in texts]
    n_changed = sum(_decoded(one, options) != text for one, text in zip(ids, texts, strict=True))
    return ["texts as they are written: their token ids stand for others (case, spaces, unknown signs)"] * n_changed


LUYUG = RowFormat(
    name="luyug",
    title=f"luyug/Reranker, token ids, needs --tokenizer: {_SHAPE}",
    is_row=_is_row,
    read=_read,
    write=_write,
    holds=frozenset({"query", "pos", "neg", "query_id", "pos_ids", "neg_ids"}),
    keys=frozenset({"qry", "pos", "neg"}),
    needs_tokenizer=True,
    also_lost=_changed,
)
