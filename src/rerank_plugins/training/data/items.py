"""What reading yields: a record or what is wrong with a row, each with its place."""

from __future__ import annotations

from typing import NamedTuple

from rerank_plugins.training.data.records import RecordError, TrainingRecord

__all__ = ["Item"]


class Item(NamedTuple):
    """One record, or one row that is none.

    Attributes:
        source: The file, or the folder and what is counted in it.
        number: Line from 1; for what has no lines the position of the query.
        record: The record; None if the row is none.
        error: What is wrong; None for a record. Its message names the place.
    """

    source: str
    number: int
    record: TrainingRecord | None
    error: RecordError | None = None

    @property
    def where(self) -> str:
        """The place, as errors name it."""
        return f"{self.source}:{self.number}"
