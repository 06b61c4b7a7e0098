"""Reports on evaluation results: Markdown, JSON and one self-contained HTML page with pictures.

Needs ``pip install rerank-plugins[evaluation]`` for matplotlib, which is imported on first use.
"""

from __future__ import annotations

from rerank_plugins.reports.writer import ReportFiles, ReportOptions, write_report

__all__ = ["ReportFiles", "ReportOptions", "write_report"]
