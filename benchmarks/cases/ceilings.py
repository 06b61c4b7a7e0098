"""The base and large shapes: how much of the rate that its products alone sustain a request reaches."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.cases.base import Case, median_of, score_difference
from benchmarks.ceiling import measure_ceiling, observed_linear_flops, share_of_ceiling, sustained_rate
from benchmarks.context import Context
from benchmarks.environment import NO_BF16, has_bf16
from benchmarks.results import CaseResult, Timing, Verdict
from benchmarks.rounds import Bench
from benchmarks.shapes import EncoderShape, attention_flops, linear_flops
from benchmarks.systems.base import SystemSpec
from benchmarks.systems.openvino_peer import OPENVINO
from benchmarks.systems.ours import OURS, OURS_BF16, bare_forward
from benchmarks.systems.plain import PLAIN, SORTED
from benchmarks.systems.sentence_transformers_peer import CROSS_ENCODER
from benchmarks.targets import judge
from benchmarks.workloads import Workload

__all__ = ["BERT", "LARGE", "XLMR", "executed_flops"]

_BASE_SYSTEMS = (SORTED, OURS, OURS_BF16)
_LARGE_SYSTEMS = (PLAIN, SORTED, CROSS_ENCODER, OPENVINO, OURS, OURS_BF16)
_PRECISIONS = {"fp32": (OURS, torch.float32), "bf16": (OURS_BF16, torch.bfloat16)}
_ROUNDING = 0.999
_SUSTAINED, _SUSTAINED_SECONDS = "sustained", 2.0


def executed_flops(shape: EncoderShape, lengths: Sequence[int], *, observed: int) -> tuple[float, str]:
    """Return the operations that a call executed, and how they were counted.

    Args:
        shape: The model.
        lengths: Tokens of each input.
        observed: Operations of products with weights that were seen. Fewer than a pruned model needs means that some
            were not seen; then the pruned model counts, which is the least that can have been executed.
    """
    if observed >= _ROUNDING * linear_flops(shape, lengths):
        # Not `observed`: padding that is computed is no work done.
        return linear_flops(shape, lengths) + attention_flops(shape, lengths), "whole model"
    pruned = linear_flops(shape, lengths, pruned=True)
    how = "last block pruned" if observed >= _ROUNDING * pruned else "lower bound, not all products were seen"
    return pruned + attention_flops(shape, lengths, pruned=True), how


def _against_ceiling(context: Context, *, shape: EncoderShape, case: str, key: str) -> CaseResult:
    workload = context.pairs(shape).mixed(context.effort.base_documents)
    with Bench(_BASE_SYSTEMS, context.request(shape), tell=context.tell) as bench:
        context.tell("what its products alone reach, before and after")
        before = _rates(shape)
        timings = bench.run(workload.pairs, rounds=context.effort.side_rounds)
        after = _rates(shape)
        facts: dict[str, float | str] = dict(workload.facts())
        verdicts = []
        for name, (spec, _) in _PRECISIONS.items():
            if name not in before:
                verdicts.append(judge(f"{key}-ceiling-{name}", None, note=NO_BF16))
                continue
            flops, how = _executed(context, spec, shape, workload)
            rates = {kind: max(before[name][kind], after[name][kind]) for kind in before[name]}
            facts |= {f"{name} {kind}, GFLOP/s": round(rate / 1e9, 1) for kind, rate in rates.items()}
            facts |= {
                f"{name} executed, GFLOP": round(flops / 1e9, 1),
                f"{name} counted as": how,
            }
            verdicts.append(_share(f"{key}-ceiling-{name}", timings, spec, flops=flops, ceiling=rates[_SUSTAINED]))
        missing = bench.missing
    return CaseResult(
        case=case,
        title=f"{shape.name}, {workload.name}",
        facts=facts,
        timings=tuple(timings),
        missing=tuple(missing),
        verdicts=tuple(verdicts),
    )


def _rates(shape: EncoderShape) -> dict[str, dict[str, float]]:
    """Return operations per second by precision, of those that the CPU has, and kind."""
    rates = {}
    for name, (_, dtype) in _PRECISIONS.items():
        if dtype is torch.bfloat16 and not has_bf16():
            continue
        best = measure_ceiling(shape, dtype)
        sustained = sustained_rate(shape, dtype, seconds=_SUSTAINED_SECONDS)
        rates[name] = {_SUSTAINED: sustained, "best of eight": best.best, "stock linear": best.stock}
    return rates


def _executed(context: Context, spec: SystemSpec, shape: EncoderShape, workload: Workload) -> tuple[float, str]:
    forward = bare_forward(context.request(shape), workload.pairs, dtype=spec.dtype)
    return executed_flops(shape, workload.lengths, observed=observed_linear_flops(forward))


def _share(key: str, timings: Sequence[Timing], spec: SystemSpec, *, flops: float, ceiling: float) -> Verdict:
    seconds, difference = median_of(timings, spec), score_difference(timings, spec)
    notes = [] if difference is None else [f"largest score difference {difference:.1e}"]
    share, doubt = (None, "did not run") if seconds is None else share_of_ceiling(flops, seconds, ceiling)
    return judge(key, share, note="; ".join(note for note in (doubt, *notes) if note))


def _xlmr(context: Context) -> CaseResult:
    return _against_ceiling(context, shape=context.shapes.base, case="xlmr-base", key="xlmr")


def _bert(context: Context) -> CaseResult:
    return _against_ceiling(context, shape=context.shapes.bert_base, case="bert-base", key="bert")


def _large(context: Context) -> CaseResult:
    shape = context.shapes.large
    workload = context.pairs(shape).mixed(context.effort.large_documents)
    with Bench(_LARGE_SYSTEMS, context.request(shape), tell=context.tell) as bench:
        timings = bench.run(workload.pairs, rounds=context.effort.side_rounds)
        missing = bench.missing
    return CaseResult(
        case="large",
        title=f"{shape.name}, {workload.name}",
        facts=workload.facts(),
        timings=tuple(timings),
        missing=tuple(missing),
    )


XLMR = Case(name="xlmr-base", title="XLM-R-base shape against its products alone", run=_xlmr)
BERT = Case(name="bert-base", title="BERT-base shape against its products alone", run=_bert)
LARGE = Case(name="large", title="XLM-R-large shape, mixed lengths", run=_large)
