"""What a training brought, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rerank_plugins.evaluation.measures import Evaluation
from rerank_plugins.evaluation.results import Comparison
from rerank_plugins.evaluation.statistics import compare_paired

__all__ = ["MeasureChange", "SetChange", "TrainingPlan", "TrainingResult", "WorseQuery", "changes"]


_SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureChange:
    """One measure of the dev set before and after.

    Attributes:
        name: The measure.
        before: Mean of the model that the training started from.
        after: Mean of the trained model.
        comparison: The mean difference, with the p-value of the paired randomisation test.
        better: Queries on which it rose.
        worse: Queries on which it fell.
    """

    name: str
    before: float
    after: float
    comparison: Comparison
    better: int
    worse: int

    @property
    def has_fallen(self) -> bool:
        """Whether it fell, and by the test not by chance (p < .05)."""
        return self.comparison.difference < 0 and self.comparison.p_value < _SIGNIFICANT


@dataclass(frozen=True, slots=True, kw_only=True)
class SetChange:
    """A set that the model shall stay good at (``keep_data``), before and after.

    Attributes:
        name: The set.
        n_queries: Its queries.
        changes: Its measures.
    """

    name: str
    n_queries: int
    changes: tuple[MeasureChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorseQuery:
    """A query on which the trained model is worse.

    Attributes:
        set_name: The set that it is of.
        query: Its text.
        before: The measure before.
        after: The measure after.
        first: The text that is ranked first now.
        answer: The text that the trained model ranks highest among the right ones.
    """

    set_name: str
    query: str
    before: float
    after: float
    first: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """A finished training.

    Attributes:
        folder: The trained model.
        steps: Steps that were done.
        best_step: Step of the checkpoint that was kept; None where nothing was measured, and the last one was.
        train_loss: Mean loss of the steps that this call did; NaN where a run that went on had none left.
        seconds: What this call took, measurements included.
        n_rows: Rows that were trained on.
        n_dev_queries: Queries of the dev set; 0 without one.
        dev_name: Its name; None without one.
        changes: Its measures before and after; empty without one.
        kept: The sets of ``keep_data`` before and after.
        worse: The queries of all measured sets on which ``metric`` fell the most, worst first.
        calibration: File of probabilities fitted to the trained model's scores on the dev set; None where there is no
            dev set, or none can be fitted on it.
    """

    folder: Path
    steps: int
    best_step: int | None
    train_loss: float
    seconds: float
    n_rows: int
    n_dev_queries: int
    dev_name: str | None
    changes: tuple[MeasureChange, ...]
    kept: tuple[SetChange, ...] = ()
    worse: tuple[WorseQuery, ...] = ()
    calibration: Path | None = None

    @property
    def fallen_sets(self) -> tuple[str, ...]:
        """Names of the sets of ``keep_data`` on which a measure fell, see :attr:`MeasureChange.has_fallen`."""
        return tuple(one.name for one in self.kept if any(change.has_fallen for change in one.changes))

    @property
    def is_adapter(self) -> bool:
        """Whether the folder holds a LoRA adapter, which cannot be averaged with the model before."""
        return (self.folder / "adapter_config.json").is_file()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """What a training would do, with time and memory of three real steps.

    Attributes:
        model: The model's id.
        family: Its family.
        n_parameters: Weights that would be trained.
        n_rows: Rows to train on.
        n_dev_queries: Queries that would be measured.
        n_dev_pairs: Pairs of these.
        groups_per_step: Groups of a step, over all devices.
        unit: What the model reads: ``pairs``, or ``texts`` where queries and texts are read apart.
        pairs_per_step: Pairs of a step, or texts.
        steps_per_epoch: Steps of an epoch.
        steps: Steps of the run.
        measurements: How often the dev set would be measured.
        max_length: Tokens of a pair, or a text, at most.
        mean_tokens: Mean tokens of one, of a sample.
        share_cut: Share of the sample's pairs that lose some of the document, or of its texts that lose some.
        seconds_per_step: Of the three steps, the first one left out.
        seconds: Estimate for the whole run, measurements included.
        peak_bytes: Most memory that the three steps held: of the GPU, or of the whole process.
    """

    model: str
    family: str
    n_parameters: int
    n_rows: int
    n_dev_queries: int
    n_dev_pairs: int
    groups_per_step: int
    unit: str
    pairs_per_step: int
    steps_per_epoch: int
    steps: int
    measurements: int
    max_length: int
    mean_tokens: float
    share_cut: float
    seconds_per_step: float
    seconds: float
    peak_bytes: int


def changes(before: Evaluation, after: Evaluation, *, seed: int = 0) -> tuple[MeasureChange, ...]:
    """Return every measure before and after, on the same queries.

    Args:
        before: Of the model that the training started from.
        after: Of the trained one.
        seed: Of the test.
    """
    return tuple(_change(name, values, after.per_query[name], seed) for name, values in before.per_query.items())


def _change(name: str, before: Mapping[str, float], after: Mapping[str, float], seed: int) -> MeasureChange:
    old = list(before.values())
    new = [after[query_id] for query_id in before]
    return MeasureChange(
        name=name,
        before=sum(old) / len(old),
        after=sum(new) / len(new),
        comparison=compare_paired(new, old, seed=seed),
        better=sum(one > other for one, other in zip(new, old, strict=True)),
        worse=sum(one < other for one, other in zip(new, old, strict=True)),
    )
