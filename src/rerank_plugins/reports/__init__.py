"""Reports on evaluation results: Markdown, JSON and one self-contained HTML page with pictures.

Each ``*_figure`` gives a matplotlib figure, for notebooks and pages of one's own.

Needs ``pip install "rerank-plugins[evaluation]"`` for matplotlib, which is imported on first use.
"""

from __future__ import annotations

from rerank_plugins.reports.curves import curve_figure
from rerank_plugins.reports.heatmap import heatmap_figure
from rerank_plugins.reports.histogram import histogram_figure
from rerank_plugins.reports.movement import movement_figure
from rerank_plugins.reports.reliability import reliability_figure
from rerank_plugins.reports.systems import Scene
from rerank_plugins.reports.tradeoff import tradeoff_figure
from rerank_plugins.reports.writer import ReportFiles, ReportOptions, write_report

__all__ = [
    "ReportFiles",
    "ReportOptions",
    "Scene",
    "curve_figure",
    "heatmap_figure",
    "histogram_figure",
    "movement_figure",
    "reliability_figure",
    "tradeoff_figure",
    "write_report",
]
