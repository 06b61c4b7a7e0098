"""Runs: for each query the documents that a system found, with scores.

The order of a run is trec_eval's own: scores from high to low, and of equal scores the document id
that sorts last comes first.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from rerank_plugins.checks.arguments import checked_call, checked_fields
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import write_atomically
from rerank_plugins.system.lines import numbered_lines

__all__ = [
    "Run",
    "TimedRun",
    "check_run",
    "in_order",
    "quoted_name",
    "ranked_ids",
    "read_trec_run",
    "trec_bytes",
    "unquoted_run",
    "write_trec_run",
]

Run = Mapping[str, Mapping[str, float]]
"""Query id to document id to score."""

_TREC_COLUMNS = 6

_SAFE = "".join(chr(code) for code in range(33, 127) if chr(code) != "%")


@checked_fields()
@dataclass(frozen=True, slots=True)
class TimedRun:
    """A run with the time of each query, measured one query at a time.

    Attributes:
        run: What was found.
        latencies_ms: Query id to milliseconds.
    """

    run: Run
    latencies_ms: Mapping[str, float]

    @property
    def mean_ms(self) -> float:
        """Milliseconds per query; 0.0 for no query."""
        return sum(self.latencies_ms.values()) / len(self.latencies_ms) if self.latencies_ms else 0.0


def check_run(run: Run) -> None:
    """Raise if a score of a run is not a number.

    Raises:
        InvalidInputError: A score is NaN; it would sort anywhere and make every measure meaningless.
    """
    for query_id, scores in run.items():
        for document_id, score in scores.items():
            if math.isnan(score):
                msg = f"the score of document {document_id!r} for query {query_id!r} is NaN; repair the run first"
                raise InvalidInputError(msg)


def quoted_name(name: str) -> str:
    """Return an id that a TREC file can hold.

    White space and what cannot be printed become ``%20`` and the like, and then also ``%``.
    """
    is_word = name.split() == [name] and name.isprintable()
    return name if is_word else quote(name, safe=_SAFE, errors="surrogatepass")


def unquoted_run(run: Run, *, queries: Iterable[str], documents: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return a run that was read from a file with the ids that a dataset has, where :func:`quoted_name` changed them.

    Args:
        run: The run.
        queries: The ids of the dataset's queries.
        documents: Those of its documents.
    """
    of_queries, of_documents = ({quoted_name(one): one for one in ids} for ids in (queries, documents))
    return {
        of_queries.get(query_id, query_id): {of_documents.get(one, one): score for one, score in scores.items()}
        for query_id, scores in run.items()
    }


@checked_call()
def in_order(scores: Mapping[str, float]) -> dict[str, float]:
    """Return one query's scores so that every measure sees the documents in the order of the mapping.

    trec_eval sorts by score in float32 and breaks ties by document id, which is not the order that a system
    with equal scores showed its user. A score that is not below the one before it is lowered to the next smaller
    float32.

    Raises:
        InvalidInputError: A score is NaN, or higher than one before it.
    """
    ordered: dict[str, float] = {}
    highest = before = np.float32(np.inf)
    for document_id, score in scores.items():
        value = np.float32(score)
        if math.isnan(score) or value > highest:
            msg = f"the score of document {document_id!r} is {score}, after {highest}; sort the scores first"
            raise InvalidInputError(msg)
        highest = value
        before = np.minimum(value, np.nextafter(before, np.float32(-np.inf)))
        ordered[document_id] = float(before)
    return ordered


@checked_call()
def ranked_ids(scores: Mapping[str, float]) -> list[str]:
    """Return one query's document ids from best to worst, in trec_eval's order."""
    return sorted(scores, key=lambda document_id: (scores[document_id], document_id), reverse=True)


@checked_call()
def write_trec_run(run: Run, path: str | Path, *, tag: str = "rerank-plugins") -> None:
    """Write a run in TREC's six columns; a name that ends in ``.gz`` is compressed.

    Raises:
        InvalidInputError: A score is NaN, or an id or the tag is empty or has white space in it,
            which the format cannot hold; or the file cannot be written.
    """
    data = trec_bytes(run, tag=tag)
    path = Path(path)
    write_atomically(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def trec_bytes(run: Run, *, tag: str = "rerank-plugins") -> bytes:
    """Return what :func:`write_trec_run` writes, not compressed; raises likewise."""
    check_run(run)
    lines = [
        f"{_word(query_id)} Q0 {_word(document_id)} {rank} {float(scores[document_id])!r} {_word(tag)}\n"
        for query_id, scores in run.items()
        for rank, document_id in enumerate(ranked_ids(scores), start=1)
    ]
    return "".join(lines).encode()


@checked_call()
def read_trec_run(path: str | Path) -> dict[str, dict[str, float]]:
    """Read a run in TREC's six columns, compressed or not.

    Equal scores are fine: the order is then by document id, as trec_eval has it, and the rank column is not read.

    Raises:
        InvalidInputError: The file cannot be read, a line is not of that form, a score is NaN, or a document is
            there twice for one query.
    """
    run: dict[str, dict[str, float]] = {}
    for number, line in numbered_lines(Path(path), hint="give a TREC run"):
        fields = line.split()
        score = _number(fields[4]) if len(fields) == _TREC_COLUMNS else None
        if score is None:
            msg = f"{path}, line {number}: expected 'query Q0 document rank score tag', got {line!r}"
            raise InvalidInputError(msg)
        scores = run.setdefault(fields[0], {})
        if math.isnan(score) or fields[2] in scores:
            problem = "is there twice" if fields[2] in scores else "has the score NaN"
            msg = f"{path}, line {number}: document {fields[2]!r} {problem} for query {fields[0]!r}; repair the run"
            raise InvalidInputError(msg)
        scores[fields[2]] = score
    return run


def _word(name: str) -> str:
    if name.split() != [name] or not name.isprintable():
        msg = f"a TREC run is text whose columns white space separates, and cannot hold the name {name!r}; rename it"
        raise InvalidInputError(msg)
    return name


def _number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None
