"""What is measured: one case per claim."""

from benchmarks.cases.alone import ALONE
from benchmarks.cases.base import Case
from benchmarks.cases.callers import CALLERS, SINGLE
from benchmarks.cases.cascade import CASCADE
from benchmarks.cases.ceilings import BERT, LARGE, XLMR
from benchmarks.cases.footprint import MEMORY, STREAM
from benchmarks.cases.late_interaction import LATE_INTERACTION
from benchmarks.cases.llm import LAYERWISE, LLM, LLM_MEMORY
from benchmarks.cases.prefix import PREFIX
from benchmarks.cases.profile import PROFILE
from benchmarks.cases.requests import FIXED, MIXED, SWEEP
from benchmarks.cases.training import TRAINING

__all__ = ["CASES", "Case"]

_LIST = (
    MIXED,
    FIXED,
    SWEEP,
    XLMR,
    BERT,
    LARGE,
    PROFILE,
    CALLERS,
    SINGLE,
    ALONE,
    MEMORY,
    STREAM,
    LLM,
    LAYERWISE,
    LLM_MEMORY,
    PREFIX,
    TRAINING,
    LATE_INTERACTION,
    CASCADE,
)

CASES: dict[str, Case] = {case.name: case for case in _LIST}
"""All cases by name, in the order they run."""
