"""One request on the small shape, by every system: mixed lengths, fixed lengths, other sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benchmarks.cases.base import Case, fastest, median_of, score_difference
from benchmarks.cases.kept import kept_top_ten
from benchmarks.compare import ratio
from benchmarks.context import Context
from benchmarks.environment import NO_BF16, NO_INT8, has_bf16, has_int8
from benchmarks.results import CaseResult, Timing, Verdict
from benchmarks.rounds import Bench
from benchmarks.systems.flag_embedding_peer import FLAG_RERANKER
from benchmarks.systems.onnxruntime_peer import ONNX_RUNTIME, ONNX_RUNTIME_INT8, ONNX_RUNTIME_STATIC
from benchmarks.systems.openvino_peer import OPENVINO, OPENVINO_BF16, OPENVINO_INT8
from benchmarks.systems.ours import CACHED, OURS, OURS_BF16, OURS_INT8
from benchmarks.systems.plain import PLAIN, SORTED
from benchmarks.systems.registry import EVERYBODY
from benchmarks.systems.sentence_transformers_peer import CROSS_ENCODER
from benchmarks.targets import judge

__all__ = ["FIXED", "MIXED", "SWEEP"]

_LARGE_REQUESTS = (PLAIN, SORTED, CROSS_ENCODER, ONNX_RUNTIME, OPENVINO, OPENVINO_BF16, OURS, OURS_BF16, OURS_INT8)
_ONNX_INT8 = tuple(spec.name for spec in (ONNX_RUNTIME_INT8, ONNX_RUNTIME_STATIC))
_LARGE, _THOUSAND, _SHORT_ROUNDS = 200, 1_000, 10


def _mixed(context: Context) -> CaseResult:
    shape = context.shapes.small
    workload = context.pairs(shape).mixed(context.effort.documents)
    with Bench((*EVERYBODY, CACHED), context.request(shape), tell=context.tell) as bench:
        timings = bench.run(workload.pairs, rounds=context.effort.rounds)
        missing = bench.missing
    overlap, on_what = kept_top_ten(context)
    return CaseResult(
        case="mixed",
        title=f"{shape.name}, {workload.name}",
        facts=workload.facts(),
        timings=tuple(timings),
        missing=tuple(missing),
        verdicts=(*_mixed_verdicts(timings), judge("bf16-overlap", overlap, note=on_what)),
    )


def _mixed_verdicts(timings: list[Timing]) -> tuple[Verdict, ...]:
    ours, ours_bf16, ours_int8 = (median_of(timings, spec) for spec in (OURS, OURS_BF16, OURS_INT8))
    slow = "" if has_bf16() else NO_BF16
    without = "" if has_int8() else NO_INT8
    peers = (CROSS_ENCODER, FLAG_RERANKER, OPENVINO, OPENVINO_BF16, OPENVINO_INT8)
    theirs = {spec: median_of(timings, spec) for spec in peers}
    absent = {spec: "" if seconds is not None else f"{spec.name} did not run" for spec, seconds in theirs.items()}
    onnx = fastest([one for one in timings if one.system in _ONNX_INT8], dtype="int8", but=OURS_INT8)
    which = "ONNX Runtime in int8 did not run" if onnx is None else f"the faster one: {onnx.system}"
    return (
        judge("scores-fp32", score_difference(timings, OURS)),
        judge("mixed-fp32-st", ratio(theirs[CROSS_ENCODER], ours), note=absent[CROSS_ENCODER]),
        judge("mixed-fp32-flag", ratio(theirs[FLAG_RERANKER], ours), note=absent[FLAG_RERANKER]),
        judge("mixed-fp32-openvino", ratio(theirs[OPENVINO], ours), note=absent[OPENVINO]),
        judge("mixed-bf16-st", ratio(theirs[CROSS_ENCODER], ours_bf16), note=slow or absent[CROSS_ENCODER]),
        judge("mixed-bf16-openvino", ratio(theirs[OPENVINO_BF16], ours_bf16), note=slow or absent[OPENVINO_BF16]),
        judge("mixed-int8-fp32", ratio(ours, ours_int8), note=without),
        judge("mixed-int8-onnx", ratio(None if onnx is None else onnx.median_s, ours_int8), note=without or which),
        judge("mixed-int8-openvino", ratio(theirs[OPENVINO_INT8], ours_int8), note=without or absent[OPENVINO_INT8]),
    )


def _fixed(context: Context) -> CaseResult:
    shape = context.shapes.small
    workload = context.pairs(shape).fixed(context.effort.documents)
    with Bench(EVERYBODY, context.request(shape), tell=context.tell) as bench:
        timings = bench.run(workload.pairs, rounds=context.effort.side_rounds)
        missing = bench.missing
    verdicts = []
    for key, spec in (("fixed-fp32", OURS), ("fixed-bf16", OURS_BF16)):
        peer = fastest(timings, dtype=spec.dtype, but=spec)
        note = "no peer ran" if peer is None else f"fastest peer: {peer.system}"
        if spec is OURS_BF16 and not has_bf16():
            note += f"; {NO_BF16}"
        peer_s = None if peer is None else peer.median_s
        verdicts.append(judge(key, ratio(peer_s, median_of(timings, spec)), note=note))
    return CaseResult(
        case="fixed",
        title=f"{shape.name}, {workload.name}",
        facts=workload.facts(),
        timings=tuple(timings),
        missing=tuple(missing),
        verdicts=tuple(verdicts),
    )


def _sweep(context: Context) -> CaseResult:
    shape = context.shapes.small
    timings: list[Timing] = []
    verdicts: list[Verdict] = []
    with Bench(EVERYBODY, context.request(shape), tell=context.tell) as bench:
        for n_documents in context.effort.sweep:
            large = n_documents > _LARGE
            workload = context.pairs(shape).mixed(n_documents)
            # Milliseconds each: two rounds of them would tell little.
            rounds = context.effort.side_rounds * (_SHORT_ROUNDS if n_documents == 1 else 1)
            found = bench.run(workload.pairs, rounds=rounds, only=_LARGE_REQUESTS if large else None)
            timings += [replace(timing, note=f"{n_documents} passages") for timing in found]
            verdicts += _sweep_verdicts(n_documents, found)
        missing = bench.missing
    return CaseResult(
        case="sweep",
        title=f"{shape.name}, 1 query x {', '.join(map(str, context.effort.sweep))} passages of mixed length",
        timings=tuple(timings),
        missing=tuple(missing),
        verdicts=tuple(verdicts),
    )


def _sweep_verdicts(n_documents: int, timings: Sequence[Timing]) -> list[Verdict]:
    ours = median_of(timings, OURS)
    if n_documents == 1:
        return [judge("one-onnx", ratio(ours, median_of(timings, ONNX_RUNTIME)))]
    if n_documents == _THOUSAND:
        return [judge("thousand-openvino", ratio(median_of(timings, OPENVINO), ours))]
    return []


MIXED = Case(name="mixed", title="one query x 100 passages of mixed length, all systems", run=_mixed)
FIXED = Case(name="fixed", title="one query x 100 passages, every pair 128 tokens, all systems", run=_fixed)
SWEEP = Case(name="sweep", title="one query x 1, 20 and 1,000 passages of mixed length", run=_sweep)
