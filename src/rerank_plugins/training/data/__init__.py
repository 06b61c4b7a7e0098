"""Training data: one row schema, its readers and writers, and the checks before the first step."""

from __future__ import annotations

from rerank_plugins.training.data.checking import CheckOptions, DataReport, Finding, check_data
from rerank_plugins.training.data.converting import Conversion, convert_data
from rerank_plugins.training.data.reading import ReadOptions, RecordStream, open_records
from rerank_plugins.training.data.records import RecordError, TrainingRecord, read_records
from rerank_plugins.training.data.writing import WriteOptions, Written, write_records

__all__ = [
    "CheckOptions",
    "Conversion",
    "DataReport",
    "Finding",
    "ReadOptions",
    "RecordError",
    "RecordStream",
    "TrainingRecord",
    "WriteOptions",
    "Written",
    "check_data",
    "convert_data",
    "open_records",
    "read_records",
    "write_records",
]
