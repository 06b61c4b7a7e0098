"""What a run leaves behind: plain values, written as JSON and read back by the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

__all__ = ["SCHEMA_VERSION", "CaseResult", "Missing", "RunRecord", "Timing", "Verdict", "read_record", "write_record"]

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One system's rounds on one workload.

    Attributes:
        system: Its name.
        dtype: Precision of the model.
        seconds: Time of each round, in the order they were taken, warm-up excluded.
        difference: Largest absolute difference of a raw score to plain transformers in float32; None if not compared.
        overlap: Mean share of the reference's ten best that are among the system's ten best; None if not compared.
        note: Whatever a reader must know.
    """

    system: str
    dtype: str
    seconds: tuple[float, ...]
    difference: float | None = None
    overlap: float | None = None
    note: str = ""

    @property
    def median_s(self) -> float:
        """Median of the rounds."""
        return median(self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A system that could not run, and why."""

    system: str
    dtype: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A target and what was measured.

    Attributes:
        target: Its key in :data:`benchmarks.targets.TARGETS`.
        text: The target in words.
        measured: The number; None if it could not be measured.
        reached: Whether it is; None if there is no number.
        note: Why there is none, or what a reader must know.
    """

    target: str
    text: str
    measured: float | None
    reached: bool | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """Everything one case measured.

    Attributes:
        case: Its name on the command line.
        title: One line for tables.
        facts: Workload, rates and whatever else was counted.
        timings: Systems that ran.
        missing: Systems that could not.
        verdicts: Targets it decides.
    """

    case: str
    title: str
    facts: Mapping[str, float | str] = field(default_factory=dict)
    timings: tuple[Timing, ...] = ()
    missing: tuple[Missing, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A whole run.

    Attributes:
        environment: Hardware, versions, commit, date, load; see :mod:`benchmarks.environment`.
        options: How the run was asked for.
        cases: In the order they ran.
        schema_version: Of this layout.
    """

    environment: Mapping[str, Any]
    options: Mapping[str, Any]
    cases: tuple[CaseResult, ...]
    schema_version: int = SCHEMA_VERSION

    @property
    def verdicts(self) -> list[Verdict]:
        """All targets that the run decided, in order."""
        return [verdict for case in self.cases for verdict in case.verdicts]


def write_record(record: RunRecord, path: Path) -> None:
    """Write a run as JSON; the medians are written too, for readers without this module."""
    content = asdict(record)
    for case, written in zip(record.cases, content["cases"], strict=True):
        for timing, row in zip(case.timings, written["timings"], strict=True):
            row["median_s"] = timing.median_s
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_record(path: Path) -> RunRecord:
    """Read a run back.

    Raises:
        ValueError: The file has another layout.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        msg = f"{path} has schema_version {version!r}, this code reads {SCHEMA_VERSION}; run the benchmark again"
        raise ValueError(msg)
    return RunRecord(
        environment=content["environment"],
        options=content["options"],
        cases=tuple(_case(case) for case in content["cases"]),
    )


def _case(content: dict[str, Any]) -> CaseResult:
    timings = []
    for row in content["timings"]:
        fields = {key: value for key, value in row.items() if key != "median_s"}
        timings.append(Timing(**{**fields, "seconds": tuple(row["seconds"])}))
    return CaseResult(
        case=content["case"],
        title=content["title"],
        facts=content["facts"],
        timings=tuple(timings),
        missing=tuple(Missing(**row) for row in content["missing"]),
        verdicts=tuple(Verdict(**row) for row in content["verdicts"]),
    )
