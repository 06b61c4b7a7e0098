"""The results of an evaluation as plain values: made by the grid and the curves, drawn by the reports.

Everything here goes to JSON and back without loss, so that a report can be made again, or elsewhere, from the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import InvalidInputError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["Cell", "Comparison", "Curve", "CurvePoint", "Estimate", "EvaluationResults", "Latency", "System"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over queries with its bootstrap confidence interval; ``low`` and ``high`` are None without one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of a system with its own first stage on the same queries.

    Attributes:
        difference: Mean of the paired differences.
        p_value: Two-sided, of the paired randomisation test.
    """

    difference: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of a query from text to result, one query at a time: median and 95th percentile.

    ``n_queries`` were timed; None where that was not kept.
    """

    p50_ms: float
    p95_ms: float
    n_queries: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One column of the grid: the first stage and the reranker.

    Attributes:
        retriever: ``bm25``, ``dense``, ``hybrid``, or ``candidates`` for the lists that a reranking task gives.
        embedder: Model of the vectors; None for BM25 and for candidates that come with the dataset.
        reranker: Model of the second stage; None for the first stage alone.
        top_k: Documents retrieved.
        top_n: Documents kept.
    """

    retriever: str
    embedder: str | None
    reranker: str | None
    top_k: int
    top_n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One system on one dataset.

    Attributes:
        dataset: The dataset's name.
        system: What was run.
        measures: Measure (``nDCG@10``) to its estimate. A query that found nothing counts 0.
        against_first_stage: Measure to the comparison; empty for a first stage.
        n_queries: Queries measured.
        latency: Both stages together; None where it was not measured.
        pairs_per_s: Reranked pairs per second; None for a first stage.
        run_file: The run in TREC format, relative to the results; None if it was not kept. It holds all ``top_k``
            documents, while the measures are those of the first ``top_n``.
        cost_per_1000_queries: In the currency of the price that was given for the machine; None without one.
    """

    dataset: str
    system: System
    measures: Mapping[str, Estimate]
    against_first_stage: Mapping[str, Comparison] = field(default_factory=dict)
    n_queries: int
    latency: Latency | None = None
    pairs_per_s: float | None = None
    run_file: str | None = None
    cost_per_1000_queries: float | None = None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Quality at one setting: documents in the corpus, or documents reranked."""

    x: int
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Quality against one setting, a line for each system.

    Attributes:
        kind: ``growth`` (x is the corpus size in documents) or ``depth`` (x is ``top_k``).
        dataset: The dataset's name.
        measure: What y is.
        lines: Name of a line to its points, x ascending.
    """

    kind: str
    dataset: str
    measure: str
    lines: Mapping[str, tuple[CurvePoint, ...]]

    @property
    def remark(self) -> str:
        """Why the curve shows little, as a sentence; empty for a curve of several different points."""
        xs = [point.x for point in next(iter(self.lines.values()), ())]
        if len(set(xs)) == len(xs) > 1:
            return ""
        if self.kind != "growth":
            return "Only one setting was asked for, so there is no curve."
        return (
            "No curve: every document that is judged relevant is in each part of the corpus, and there are too few "
            "others for parts of different sizes. Take a larger corpus, or a smaller --growth-from."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResults:
    """All results that a report is made from.

    Attributes:
        cells: One for each dataset and system.
        curves: Growth and depth curves.
        environment: Versions, hardware and date, as text.
    """

    cells: tuple[Cell, ...]
    curves: tuple[Curve, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the results as JSON text.

        Raises:
            MissingExtraError: pydantic is not installed.
        """
        return _type_adapter().dump_json(self, indent=2).decode()

    @classmethod
    def from_json(cls, text: str) -> EvaluationResults:
        """Return the results that :meth:`to_json` wrote.

        Raises:
            InvalidInputError: The text is something else.
            MissingExtraError: pydantic is not installed.
        """
        adapter = _type_adapter()
        try:
            return adapter.validate_json(text)
        except import_extra("pydantic", extra="evaluation").ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            msg = f"these are not evaluation results: {place}{': ' if place else ''}{first['msg']}"
            raise InvalidInputError(msg) from error


@cache
def _type_adapter() -> TypeAdapter[EvaluationResults]:
    # Imported here, because nothing but the results' JSON needs it in the core.
    pydantic = import_extra("pydantic", extra="evaluation")
    return pydantic.TypeAdapter(EvaluationResults)  # type: ignore[no-any-return]
