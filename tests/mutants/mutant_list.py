"""Mutants of the core: small faults that the tests must see.

A mutant names no file of ``src``: its snippet must be found in exactly one place, wherever that lies. Its tests are
names of files below ``tests``, found likewise.
"""

from __future__ import annotations

from mutants_of_models import ENGINE, SCORERS, TEXT
from mutants_of_results import BACKENDS_AND_CALLS, CALIBRATION, RANKING, SEARCH, TELEMETRY_AND_CATALOG

__all__ = ["MUTANTS"]

MUTANTS = (*TEXT, *ENGINE, *SCORERS, *RANKING, *CALIBRATION, *SEARCH, *TELEMETRY_AND_CATALOG, *BACKENDS_AND_CALLS)
