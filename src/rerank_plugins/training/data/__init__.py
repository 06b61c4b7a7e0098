"""Training data: one row schema, its readers and writers, and the checks before the first step."""

from __future__ import annotations

from rerank_plugins.training.data.reading import ReadOptions, RecordStream, open_records
from rerank_plugins.training.data.records import RecordError, TrainingRecord, read_records
from rerank_plugins.training.data.writing import Written, write_records

__all__ = [
    "ReadOptions",
    "RecordError",
    "RecordStream",
    "TrainingRecord",
    "Written",
    "open_records",
    "read_records",
    "write_records",
]
