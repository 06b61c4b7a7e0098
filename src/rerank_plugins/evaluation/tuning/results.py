"""What tuning found, as plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import NoneType

from rerank_plugins.backends.protocol import PairScorer
from rerank_plugins.composed.facades import Cascade
from rerank_plugins.composed.members import Stage
from rerank_plugins.composed.naming import cascade_text
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.results import Comparison, Estimate
from rerank_plugins.reranker import Reranker

__all__ = ["CascadePoint", "Measured", "StageCost", "Tuning"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A cascade on some queries.

    Attributes:
        quality: Mean of the measure, with its bootstrap interval where it was asked for.
        ms: Mean milliseconds of a query: each stage's own time for all candidates of the query, by its share of their
            characters.
        p95_ms: 95th percentile of the same.
    """

    quality: Estimate
    ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadePoint:
    """One cascade.

    Attributes:
        stages: With their depths and least probabilities; an open model stays the object that was passed.
        tuned: On the queries that it was chosen on.
        held_out: On the others.
    """

    stages: tuple[Stage, ...]
    tuned: Measured
    held_out: Measured

    @property
    def name(self) -> str:
        """The cascade as text, ``cascade:MODEL@DEPTH,...``, with the least probabilities in words."""
        name = cascade_text(self.stages, budget_ms=None).text
        least = [f"stage {n} from p={one.min_probability:g}" for n, one in _thresholds(self.stages)]
        return f"{name} ({', '.join(least)})" if least else name


@dataclass(frozen=True, slots=True)
class StageCost:
    """What a stage cost on all candidates.

    Attributes:
        name: Of the stage.
        ms_a_pair: Mean milliseconds of a query and a document.
        n_pairs: How many were timed.
        quality: The measure when it alone orders all candidates, over all queries.
        is_listwise: Whether it was tried only where it reads all candidates.
    """

    name: str
    ms_a_pair: float
    n_pairs: int
    quality: float
    is_listwise: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """The result of :func:`~rerank_plugins.evaluation.tuning.tune`.

    Attributes:
        dataset: Its name.
        measure: Its name.
        budget_ms: Mean milliseconds of a query that the recommended cascade may take.
        n_tuned: Queries that cascades were chosen on.
        n_held_out: The other queries.
        n_tried: Cascades that were tried.
        costs: Of each candidate stage, in the order in which they were given.
        front: The cascades that no other one of those tried beats (better, or as good in less time) on the queries that
            they were chosen on, from fast to slow.
        recommended: The best of the front within the budget.
        reference: The best stage alone over all candidates, whatever it takes.
        comparison: The recommended cascade against the reference on the held-out queries, paired.
        environment: Where it was measured, as text.
    """

    dataset: str
    measure: str
    budget_ms: float
    n_tuned: int
    n_held_out: int
    n_tried: int
    costs: tuple[StageCost, ...]
    front: tuple[CascadePoint, ...]
    recommended: CascadePoint
    reference: CascadePoint
    comparison: Comparison
    environment: Mapping[str, str] = field(default_factory=dict)

    def build(self, *, with_budget: bool = False) -> Cascade:
        """Open the recommended cascade.

        Args:
            with_budget: Whether it also keeps ``budget_ms`` at run time: it then stops rather than be late.

        Raises:
            ModelError: A model cannot be loaded.
        """
        return Cascade(self.recommended.stages, budget_ms=self.budget_ms if with_budget else None)

    def to_json(self) -> str:
        """Return the results as JSON text, for other programs; models that were passed open are there by name."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return json.dumps(values, default=_plain, indent=2)

    def cascade_json(self) -> str:
        """Return the recommended cascade as the file that ``Reranker("cascade:FILE.json")`` opens.

        Raises:
            InvalidInputError: A stage holds an object (an open model, a calibration, layer options), which no file can.
        """
        for number, one in enumerate(self.recommended.stages, start=1):
            held = next((v for v in (one.model, one.calibration, one.layers) if not isinstance(v, _STORABLE)), None)
            if held is not None:
                msg = (
                    f"stage {number} holds a {type(held).__name__} of this process, which a file cannot; name models, "
                    "calibration files and layers instead, or use build()"
                )
                raise InvalidInputError(msg)
        return json.dumps({"stages": [_entry(one) for one in self.recommended.stages]}, default=_plain, indent=2) + "\n"


_STORABLE = (str, Path, int, NoneType)


def _thresholds(stages: tuple[Stage, ...]) -> list[tuple[int, Stage]]:
    return [(number, one) for number, one in enumerate(stages, start=1) if one.min_probability is not None]


def _entry(one: Stage) -> dict[str, object]:
    values = {name: getattr(one, name) for name in ("model", "depth", "layers", "calibration", "min_probability")}
    return {**{name: value for name, value in values.items() if value is not None}, **one.options}


def _plain(value: object) -> object:
    """Return what JSON holds of a value that it does not know."""
    if isinstance(value, Stage):
        return _entry(value)
    if isinstance(value, CascadePoint):
        return {"name": value.name, **{one.name: getattr(value, one.name) for one in fields(value)}}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Reranker):
        return value.model
    if isinstance(value, PairScorer):
        return value.spec.id
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
