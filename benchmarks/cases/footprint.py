"""Memory: of one request by each system, and of many pairs that stream through."""

from __future__ import annotations

from benchmarks.cases.base import Case, child_arguments
from benchmarks.context import Context
from benchmarks.memory import ChildFailedError, in_child
from benchmarks.results import CaseResult, Missing
from benchmarks.shapes import EncoderShape
from benchmarks.systems.bcembedding_peer import BCE
from benchmarks.systems.flag_embedding_peer import FLAG_RERANKER
from benchmarks.systems.onnxruntime_peer import ONNX_RUNTIME
from benchmarks.systems.openvino_peer import OPENVINO
from benchmarks.systems.ours import OURS, OURS_BF16
from benchmarks.systems.plain import PLAIN
from benchmarks.systems.sentence_transformers_peer import CROSS_ENCODER
from benchmarks.targets import judge

__all__ = ["MEMORY", "STREAM"]

_SYSTEMS = (PLAIN, CROSS_ENCODER, FLAG_RERANKER, BCE, ONNX_RUNTIME, OPENVINO, OURS, OURS_BF16)
# A million pairs have to go through in minutes: what is measured is memory, not the model.
_STREAM_SHAPE = EncoderShape(name="two layers of 64", kind="bert", layers=2, hidden=64, heads=4, intermediate=256)


def _memory(context: Context) -> CaseResult:
    shape = context.shapes.small
    facts: dict[str, float | str] = {}
    missing = []
    for spec in _SYSTEMS:
        context.tell(f"memory of {spec.name} ({spec.dtype}), in a process of its own")
        arguments = child_arguments(context, spec, documents=context.effort.documents)
        try:
            measured = in_child("memory", arguments, threads=context.threads)
        except ChildFailedError as error:
            missing.append(Missing(system=spec.name, dtype=spec.dtype, reason=str(error)))
            continue
        name = f"{spec.name} ({spec.dtype})"
        facts[f"{name}: model and library, MB"] = round(measured["loaded_mb"] - measured["before_mb"], 1)
        facts[f"{name}: the call on top, MB"] = round(measured["call_peak_mb"] - measured["loaded_mb"], 1)
    return CaseResult(
        case="memory",
        title=f"{shape.name}, memory of one request of {context.effort.documents} passages",
        facts=facts,
        missing=tuple(missing),
    )


def _stream(context: Context) -> CaseResult:
    n_pairs = context.effort.stream_pairs
    context.tell(f"streaming {n_pairs:,} pairs, in a process of its own")
    title = f"{n_pairs:,} pairs streamed through a model of {_STREAM_SHAPE.name}"
    arguments = {"request": context.child_request(_STREAM_SHAPE), "pairs": n_pairs}
    try:
        measured = in_child("stream", arguments, threads=context.threads)
    except ChildFailedError as error:
        measured = {"missing": str(error)}
    reason = measured.get("missing")
    if reason is not None:
        return CaseResult(case="stream", title=title, verdicts=(judge("stream-flat", None, note=reason),))
    return CaseResult(
        case="stream",
        title=title,
        facts={
            "pairs": measured["pairs"],
            "pairs per second": round(measured["pairs"] / measured["seconds"]),
            "resident after each tenth, MB": measured["course"],
        },
        verdicts=(judge("stream-flat", measured["growth_mb"], note=f"{n_pairs:,} pairs"),),
    )


MEMORY = Case(name="memory", title="memory of one request, by each system", run=_memory)
STREAM = Case(name="stream", title="memory while many pairs stream through", run=_stream)
