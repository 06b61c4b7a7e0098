"""A prompted reranker with the beginning of its prompts computed once a batch, against every prompt whole."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.cases.base import Case, median_of
from benchmarks.compare import largest_difference, ratio
from benchmarks.context import Context
from benchmarks.results import CaseResult, Timing
from benchmarks.rounds import Key, interleaved
from benchmarks.systems.base import SystemSpec
from benchmarks.systems.ours import OURS, open_reranker
from benchmarks.targets import judge

__all__ = ["PREFIX"]

_WHOLE = SystemSpec(name="rerank_plugins, prompts whole", dtype="float32", open=OURS.open)


def _prefix(context: Context) -> CaseResult:
    shape, effort = context.shapes.qwen, context.effort
    request, workload = context.request(shape), context.pairs(shape).mixed(effort.llm_few)
    # One set of weights: the switch belongs to calls.
    with open_reranker(request) as shared, open_reranker(request, share_prefix=False) as whole:
        context.tell(f"{shape.name}, {len(workload.pairs)} pairs with their prompt shared and whole")
        rankers = ((OURS, shared), (_WHOLE, whole))
        scores = [reranker.score(workload.pairs) for _, reranker in rankers]
        tasks: dict[Key, Callable[[], object]] = {
            (spec.name, spec.dtype): lambda reranker=reranker: reranker.score(workload.pairs)  # type: ignore[misc]
            for spec, reranker in rankers
        }
        seconds = interleaved(tasks, rounds=effort.side_rounds)
        usage = shared.rank(workload.pairs[0][0], [text for _, text in workload.pairs]).usage
        is_used = shared.prefix_sharing.is_used
    difference = largest_difference(scores[0], scores[1])
    timings = [Timing(system=key[0], dtype=key[1], seconds=values) for key, values in seconds.items()]
    facts = workload.facts() | {"prefix shared": "yes" if is_used else "no"}
    if usage is not None:
        facts["mean_tokens_with_prompt"] = round(usage.tokens / max(usage.inputs, 1), 1)
    return CaseResult(
        case="prefix",
        title=f"{shape.name}, {workload.name}, the prompt on top",
        timings=tuple(timings),
        facts=facts,
        verdicts=(
            judge("prefix", ratio(median_of(timings, _WHOLE), median_of(timings, OURS)), note=workload.name),
            judge("prefix-scores", difference),
        ),
    )


PREFIX = Case(name="prefix", title="Qwen3-like reranker, its prompt computed once a batch and whole", run=_prefix)
