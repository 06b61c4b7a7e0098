"""One passage, by each system in a process of its own, as in an application that has one of them.

Where all systems live in one process it has the OpenMP threads of all. With more of them than cores, libgomp sends all
to sleep between two operations, and whoever runs many short operations loses most.
"""

from __future__ import annotations

from benchmarks.cases.base import Case, child_arguments, median_of
from benchmarks.compare import ratio
from benchmarks.context import Context
from benchmarks.memory import ChildFailedError, in_child
from benchmarks.results import CaseResult, Missing, Timing
from benchmarks.systems.base import SystemSpec
from benchmarks.systems.onnxruntime_peer import ONNX_RUNTIME
from benchmarks.systems.openvino_peer import OPENVINO
from benchmarks.systems.ours import OURS, OURS_BF16, OURS_INT8
from benchmarks.systems.plain import PLAIN
from benchmarks.systems.sentence_transformers_peer import CROSS_ENCODER
from benchmarks.targets import judge

__all__ = ["ALONE"]

_SYSTEMS = (PLAIN, CROSS_ENCODER, ONNX_RUNTIME, OPENVINO, OURS, OURS_BF16, OURS_INT8)


def _alone(context: Context) -> CaseResult:
    shape, rounds = context.shapes.small, context.effort.side_rounds
    seconds: dict[SystemSpec, list[float]] = {}
    missing: dict[SystemSpec, str] = {}
    for number in range(rounds):
        for spec in _SYSTEMS:
            context.tell(f"one passage by {spec.name} ({spec.dtype}), process {number + 1} of {rounds}")
            arguments = child_arguments(context, spec, documents=1) | {"calls": context.effort.single_calls}
            try:
                measured = in_child("latency", arguments, threads=context.threads)
            except ChildFailedError as error:
                missing[spec] = str(error)
                continue
            seconds.setdefault(spec, []).append(measured["median_seconds"])
    timings = [Timing(system=spec.name, dtype=spec.dtype, seconds=tuple(found)) for spec, found in seconds.items()]
    return CaseResult(
        case="alone",
        title=f"{shape.name}, 1 query x 1 passage, each system in a process of its own",
        facts={"calls a process": context.effort.single_calls},
        timings=tuple(timings),
        missing=tuple(Missing(system=spec.name, dtype=spec.dtype, reason=why) for spec, why in missing.items()),
        verdicts=(judge("alone-onnx", ratio(median_of(timings, OURS), median_of(timings, ONNX_RUNTIME))),),
    )


ALONE = Case(name="alone", title="one passage, each system in a process of its own", run=_alone)
