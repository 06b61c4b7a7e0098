"""Runs: for each query the documents that a system found, with scores.

The order of a run is trec_eval's own: scores from high to low, and of equal scores the document id
that sorts last comes first.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rerank_plugins.errors import InvalidInputError

__all__ = ["Run", "TimedRun", "check_run", "ranked_ids", "read_trec_run", "write_trec_run"]

Run = Mapping[str, Mapping[str, float]]
"""Query id to document id to score."""

_TREC_COLUMNS = 6


@dataclass(frozen=True, slots=True)
class TimedRun:
    """A run, and how long each of its queries took, one query at a time.

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
    """Refuse a run that has a score which is not a number.

    Raises:
        InvalidInputError: A score is NaN; it would sort anywhere and make every measure meaningless.
    """
    for query_id, scores in run.items():
        for document_id, score in scores.items():
            if math.isnan(score):
                msg = f"the score of document {document_id!r} for query {query_id!r} is NaN; repair the run first"
                raise InvalidInputError(msg)


def ranked_ids(scores: Mapping[str, float]) -> list[str]:
    """Return one query's document ids from best to worst, in trec_eval's order."""
    return sorted(scores, key=lambda document_id: (scores[document_id], document_id), reverse=True)


def write_trec_run(run: Run, path: str | Path, *, tag: str = "rerank-plugins") -> None:
    """Write a run in TREC's six columns; a name that ends in ``.gz`` is compressed.

    Raises:
        InvalidInputError: A score is NaN, or an id or the tag is empty or has white space in it,
            which the format cannot hold.
    """
    check_run(run)
    lines = [
        f"{_word(query_id)} Q0 {_word(document_id)} {rank} {float(scores[document_id])!r} {_word(tag)}\n"
        for query_id, scores in run.items()
        for rank, document_id in enumerate(ranked_ids(scores), start=1)
    ]
    data = "".join(lines).encode()
    path = Path(path)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def read_trec_run(path: str | Path) -> dict[str, dict[str, float]]:
    """Read a run in TREC's six columns, compressed or not.

    Raises:
        InvalidInputError: The file cannot be read, or a line is not of that form.
    """
    run: dict[str, dict[str, float]] = {}
    for number, line in enumerate(_text(Path(path)).split("\n"), start=1):
        fields = line.split()
        if not fields:
            continue
        score = _number(fields[4]) if len(fields) == _TREC_COLUMNS else None
        if score is None:
            msg = f"{path}, line {number}: expected 'query Q0 document rank score tag', got {line!r}"
            raise InvalidInputError(msg)
        run.setdefault(fields[0], {})[fields[2]] = score
    return run


def _word(name: str) -> str:
    if not name or name.split() != [name]:
        msg = f"a TREC run separates its columns with white space and cannot hold the name {name!r}; rename it"
        raise InvalidInputError(msg)
    return name


def _number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        msg = f"{path} could not be read as a TREC run ({error})"
        raise InvalidInputError(msg) from error
