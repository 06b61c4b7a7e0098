"""Steps of training a cross-encoder, in fp32: the same model, rows, groups and batches for all."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.cases.base import Case
from benchmarks.compare import ratio
from benchmarks.context import Context
from benchmarks.results import CaseResult, Missing, Timing, Verdict
from benchmarks.systems.training import TRAINERS, Row, TrainTask
from benchmarks.targets import judge

__all__ = ["TRAINING"]

_GROUP, _BATCH = 8, 4
_DTYPE = "float32"


def _training(context: Context) -> CaseResult:
    shape, effort = context.shapes.small, context.effort
    n_rows = _BATCH * (effort.train_steps + 1)
    workload = context.pairs(shape).mixed(_GROUP, n_queries=n_rows)
    groups = [workload.pairs[start : start + _GROUP] for start in range(0, len(workload.pairs), _GROUP)]
    rows = [Row(query=group[0][0], texts=tuple(text for _, text in group)) for group in groups]
    task = TrainTask(folder=context.request(shape).folder, rows=rows, batch=_BATCH)
    seconds: dict[str, list[float]] = {one.name: [] for one in TRAINERS}
    missing: dict[str, Missing] = {}
    for number in range(1 + effort.side_rounds):
        for one in TRAINERS:
            if one.name in missing:
                continue
            context.tell(f"{one.name}, {effort.train_steps} steps of {_BATCH * _GROUP} pairs")
            try:
                taken = one.seconds(task)
            except Exception as error:  # noqa: BLE001 - peers fail in every way; the result says how
                reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                missing[one.name] = Missing(system=one.name, dtype=_DTYPE, reason=reason)
                continue
            if number:
                seconds[one.name].append(taken)
    timings = tuple(
        Timing(system=name, dtype=_DTYPE, seconds=tuple(values)) for name, values in seconds.items() if values
    )
    return CaseResult(
        case="training",
        title=f"{shape.name}, {effort.train_steps} steps of {_BATCH} groups of {_GROUP}",
        facts=workload.facts() | {"steps": effort.train_steps},
        timings=timings,
        missing=tuple(missing.values()),
        verdicts=_verdicts(timings, missing),
    )


def _verdicts(timings: tuple[Timing, ...], missing: Mapping[str, Missing]) -> tuple[Verdict, ...]:
    medians = {one.system: one.median_s for one in timings}
    ours, *peers = (one.name for one in TRAINERS)
    return tuple(
        judge(
            key,
            ratio(medians.get(peer), medians.get(ours)),
            note=missing[peer].reason if peer in missing else "",
        )
        for key, peer in zip(("train-st", "train-flag"), peers, strict=True)
    )


TRAINING = Case(name="training", title="Steps of training, beside other trainers", run=_training)
