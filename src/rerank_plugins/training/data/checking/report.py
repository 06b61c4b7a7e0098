"""What a check of training data found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.data.checking.findings import Finding
from rerank_plugins.training.data.checking.lengths import LengthReport

__all__ = ["DataReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReport:
    """Training data in figures, and what is wrong with them.

    Attributes:
        formats: File or folder to its format.
        n_records: Queries with their texts.
        n_bad_rows: Rows that are none.
        n_positives: Positives of all records.
        n_negatives: Negatives of all records.
        fewest_negatives: Negatives of the record with the fewest.
        n_scored: Records with scores for all their texts.
        n_dev: Records of the dev set; None without one.
        query_scripts: Script to its share of queries, 0 to 1, largest first.
        positive_scripts: The same for each record's first positive.
        other_script: Share of records whose first positive is in another script than the query.
        lengths: What is cut; None without a tokenizer.
        findings: What is wrong, errors first.
        notes: What reading left out, in words, with how often.
    """

    formats: Mapping[str, str]
    n_records: int
    n_bad_rows: int
    n_positives: int
    n_negatives: int
    fewest_negatives: int
    n_scored: int
    n_dev: int | None
    query_scripts: Mapping[str, float]
    positive_scripts: Mapping[str, float]
    other_script: float
    lengths: LengthReport | None
    findings: tuple[Finding, ...]
    notes: Mapping[str, int]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What stops a run."""
        return tuple(one for one in self.findings if one.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What does not."""
        return tuple(one for one in self.findings if one.severity == "warning")

    def raise_on_errors(self) -> None:
        """Raise InvalidInputError if there are errors; the message has each with its first example."""
        if not self.errors:
            return
        listed = "; ".join(
            f"{one.count} {one.sentence}" + (f" ({one.examples[0]})" if one.examples else "") for one in self.errors
        )
        msg = f"the training data have errors: {listed}. rerank-plugins data check shows more"
        raise InvalidInputError(msg)

    def to_mapping(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        shares = {name: dict(getattr(self, name)) for name in ("formats", "query_scripts", "positive_scripts", "notes")}
        return {
            **plain,
            **shares,
            "lengths": None if self.lengths is None else self.lengths.to_mapping(),
            "findings": [one.to_mapping() for one in self.findings],
            "ok": not self.errors,
        }


_PLAIN = (
    "n_records",
    "n_bad_rows",
    "n_positives",
    "n_negatives",
    "fewest_negatives",
    "n_scored",
    "n_dev",
    "other_script",
)
