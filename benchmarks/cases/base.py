"""What a case is, and what several of them need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.context import Context
from benchmarks.results import CaseResult, Timing
from benchmarks.systems.base import SystemSpec

__all__ = ["Case", "child_arguments", "fastest", "median_of", "score_difference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Something to measure.

    Attributes:
        name: On the command line.
        title: One line.
        run: Measures it.
    """

    name: str
    title: str
    run: Callable[[Context], CaseResult]


def child_arguments(context: Context, spec: SystemSpec, *, documents: int) -> dict[str, Any]:
    """Return what a job of :mod:`benchmarks.child` wants to know to run a system on one request of the small shape."""
    return {
        "request": context.child_request(context.shapes.small),
        "system": spec.name,
        "dtype": spec.dtype,
        "documents": documents,
        "length": None,
    }


def median_of(timings: Sequence[Timing], spec: SystemSpec) -> float | None:
    """Return the median seconds of a system, or None if it did not run."""
    for timing in timings:
        if (timing.system, timing.dtype) == (spec.name, spec.dtype):
            return timing.median_s
    return None


def fastest(timings: Sequence[Timing], *, dtype: str, but: SystemSpec) -> Timing | None:
    """Return the fastest peer of a precision, or None if none ran."""
    peers = [timing for timing in timings if timing.dtype == dtype and timing.system != but.name]
    return min(peers, key=lambda timing: timing.median_s, default=None)


def score_difference(timings: Sequence[Timing], spec: SystemSpec) -> float | None:
    """Return a system's largest score difference to the reference, or None if it did not run."""
    found = [
        timing.difference
        for timing in timings
        if (timing.system, timing.dtype) == (spec.name, spec.dtype) and timing.difference is not None
    ]
    return max(found, default=None)
