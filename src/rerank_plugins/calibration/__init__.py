"""Thresholds and calibrated probabilities, fitted on labelled pairs and kept in a small JSON file.

A reranker's sigmoid is not a probability of relevance on your data; a calibrated one is, as far as the
labelled pairs resemble the pairs in use. Fitting needs ``pip install "rerank-plugins[calibration]"`` (scipy); reading
a calibration and applying it does not.
"""

from __future__ import annotations

from rerank_plugins.calibration.calibration import Calibration, CalibrationMismatchWarning, ScoreSource
from rerank_plugins.calibration.fitting import fit_calibration
from rerank_plugins.calibration.labels import labelled_scores, logits
from rerank_plugins.calibration.reliability import Reliability, ReliabilityBin, measure_reliability
from rerank_plugins.calibration.threshold import FittedThreshold, fit_threshold, measure_threshold

__all__ = [
    "Calibration",
    "CalibrationMismatchWarning",
    "FittedThreshold",
    "Reliability",
    "ReliabilityBin",
    "ScoreSource",
    "fit_calibration",
    "fit_threshold",
    "labelled_scores",
    "logits",
    "measure_reliability",
    "measure_threshold",
]
