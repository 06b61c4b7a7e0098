"""Training data looked at before the first step."""

from __future__ import annotations

from rerank_plugins.training.data.checking.check import check_data
from rerank_plugins.training.data.checking.findings import Finding
from rerank_plugins.training.data.checking.lengths import LengthReport
from rerank_plugins.training.data.checking.options import CheckOptions
from rerank_plugins.training.data.checking.report import DataReport

__all__ = ["CheckOptions", "DataReport", "Finding", "LengthReport", "check_data"]
