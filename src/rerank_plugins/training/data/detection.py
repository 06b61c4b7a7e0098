"""Detects the format of a file from its contents."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.data.formats import ROW_FORMATS
from rerank_plugins.training.data.formats.format import Row
from rerank_plugins.training.data.lines import JsonLine, json_lines
from rerank_plugins.training.data.records import RecordError, row_of

__all__ = ["BEIR", "FORMAT_NAMES", "LLAMAINDEX", "check_format", "claims", "detect_format", "format_titles"]

BEIR, LLAMAINDEX = "beir", "llamaindex"
FORMAT_NAMES = (*ROW_FORMATS, BEIR, LLAMAINDEX)
"""What ``--format`` and ``--to`` take."""

_LOOKED_AT = 50
_LLAMAINDEX_KEYS = frozenset({"queries", "corpus", "relevant_docs"})
_CLAIMING = [one for one in ROW_FORMATS.values() if not one.name.startswith("flagembedding")]
"""FlagEmbedding's two claim the same rows as ours and read them the same."""


def format_titles() -> dict[str, str]:
    """Return every format with what its rows look like."""
    titles = {one.name: one.title for one in ROW_FORMATS.values()}
    titles[BEIR] = "folder with corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv, and candidates.SPLIT.jsonl if it has"
    titles[LLAMAINDEX] = 'LlamaIndex EmbeddingQAFinetuneDataset: {"queries", "corpus", "relevant_docs"}'
    return titles


def check_format(name: str) -> str:
    """Return the name of a format.

    Raises:
        InvalidInputError: There is none of that name.
    """
    if name not in FORMAT_NAMES:
        msg = f"there is no format {name!r}; the formats: {', '.join(FORMAT_NAMES)}"
        raise InvalidInputError(msg)
    return name


def claims(row: Row) -> list[str]:
    """Return the names of the formats whose row it could be."""
    return [one.name for one in _CLAIMING if one.is_row(row)]


def detect_format(path: Path) -> str:
    """Return the format of a file or folder, by its first rows.

    Raises:
        InvalidInputError: It is empty, of no known format, or of several; the message names the candidates.
    """
    if path.is_dir():
        return BEIR
    if not path.is_file():
        msg = f"{path} is no regular file, and what is read once cannot be looked at first: name format_name (--format)"
        raise InvalidInputError(msg)
    lines = list(islice(json_lines(path), _LOOKED_AT))
    if not lines:
        msg = f"{path} is empty; training data has one JSON object a line"
        raise InvalidInputError(msg)
    start = lines[0].text.strip()
    if start.startswith("["):
        msg = f"{path} is one JSON list; write one object a line, for example with: jq -c '.[]' {path.name}"
        raise InvalidInputError(msg)
    rows = _rows(lines)
    if start == "{" or (rows and rows[0][1].keys() >= _LLAMAINDEX_KEYS):
        return LLAMAINDEX
    return _agreed(path, lines, rows)


def _rows(lines: Sequence[JsonLine]) -> list[tuple[JsonLine, Row]]:
    """Return the rows that are JSON objects; the others are reported when they are read."""
    rows: list[tuple[JsonLine, Row]] = []
    for line in lines:
        try:
            rows.append((line, row_of(line)))
        except RecordError:
            continue
    return rows


def _agreed(path: Path, lines: Sequence[JsonLine], rows: Sequence[tuple[JsonLine, Row]]) -> str:
    found: dict[str, JsonLine] = {}
    for line, row in rows:
        candidates = claims(row)
        if len(candidates) > 1:
            msg = f"{line.where} could be a row of {' or of '.join(candidates)}; choose with format_name=... (--format)"
            raise InvalidInputError(msg)
        found |= {name: line for name in candidates if name not in found}
    if len(found) > 1:
        places = " and ".join(f"{name} (line {line.number})" for name, line in found.items())
        msg = f"{path} has rows of {places}; give each a file of its own, or choose with format_name=... (--format)"
        raise InvalidInputError(msg)
    if found:
        return next(iter(found))
    if not rows:
        row_of(lines[0])
    keys = ", ".join(map(repr, rows[0][1])) or "none"
    shapes = "; ".join(one.title for one in _CLAIMING)
    msg = f"{rows[0][0].where}: the keys {keys} belong to no known format. Known: {shapes}"
    raise InvalidInputError(msg)
