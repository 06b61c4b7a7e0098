"""What mining found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["COUNTED", "DroppedText", "MiningResult"]

COUNTED: Mapping[str, str] = {
    "mined": "negatives mined",
    "random": "random fill, where a query had too few",
    "labelled": "labelled negatives kept",
    "false": "candidates dropped as likely answers",
    "easy": "candidates dropped as too easy",
    "known": "candidates that are the query, a positive or a labelled negative",
    "short": "rows with fewer negatives than asked",
    "ids": "rows whose negatives' ids were left out, as the mined texts have none",
    "scores": "rows whose old scores were left out, as the mined texts have none",
}
"""What is counted, with the words for it; of candidates only those that were looked at until there were enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedText:
    """A candidate that was dropped as a likely answer.

    Attributes:
        where: Place of the row.
        query: Its query.
        text: The candidate.
        score: Its score.
        worst_positive: Score of the query's worst labelled positive.
    """

    where: str
    query: str
    text: str
    score: float
    worst_positive: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MiningResult:
    """What was mined.

    Attributes:
        output: The file.
        n_rows: Rows in it.
        n_resumed: Rows that an earlier run had written.
        n_pool: Texts that negatives were looked for in.
        counts: Of all runs, by the names in :data:`COUNTED`.
        dropped: The first candidates that this run dropped as likely answers, as many as asked for.
    """

    output: Path
    n_rows: int
    n_resumed: int
    n_pool: int
    counts: Mapping[str, int]
    dropped: tuple[DroppedText, ...]
