"""Many callers at once, and one call of one pair."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from benchmarks.cases.base import Case, median_of
from benchmarks.compare import largest_difference, ratio
from benchmarks.context import Context
from benchmarks.results import CaseResult, Missing, Timing
from benchmarks.rounds import Key, interleaved
from benchmarks.systems.base import Pairs, System, SystemSpec, open_or_reason
from benchmarks.systems.ours import OURS, bare_forward
from benchmarks.systems.plain import PLAIN
from benchmarks.systems.sentence_transformers_peer import CROSS_ENCODER
from benchmarks.targets import judge

__all__ = ["CALLERS", "SINGLE", "from_threads"]

_BULK = SystemSpec(name="rerank_plugins, one bulk call", dtype="float32", open=OURS.open)
_SERIAL = SystemSpec(name="rerank_plugins, one call after the other", dtype="float32", open=OURS.open)
_THREADS = SystemSpec(name="rerank_plugins, from threads", dtype="float32", open=OURS.open)
_PEER = SystemSpec(name="sentence-transformers, from threads", dtype="float32", open=CROSS_ENCODER.open)


def from_threads(system: System, requests: Sequence[Pairs]) -> list[float]:
    """Return the scores of all requests, in order, each asked by a thread of its own at the same moment."""
    together = threading.Barrier(len(requests))

    def ask(pairs: Pairs) -> list[float]:
        together.wait()
        return system.score(pairs)

    with ThreadPoolExecutor(len(requests)) as pool:
        return [score for scores in pool.map(ask, requests) for score in scores]


def _callers(context: Context) -> CaseResult:
    shape, effort = context.shapes.small, context.effort
    workload = context.pairs(shape).mixed(effort.caller_documents, n_queries=effort.callers)
    size = effort.caller_documents
    requests = [workload.pairs[start : start + size] for start in range(0, len(workload.pairs), size)]
    context.tell(f"{effort.callers} callers x {size} passages")
    ours = OURS.open(context.request(shape))
    tasks: dict[Key, Callable[[], list[float]]] = {
        (_BULK.name, _BULK.dtype): lambda: ours.score(workload.pairs),
        (_SERIAL.name, _SERIAL.dtype): lambda: [score for pairs in requests for score in ours.score(pairs)],
        (_THREADS.name, _THREADS.dtype): lambda: from_threads(ours, requests),
    }
    missing = []
    peer = open_or_reason(CROSS_ENCODER, context.request(shape))
    if isinstance(peer, str):
        missing.append(Missing(system=_PEER.name, dtype=_PEER.dtype, reason=peer))
    else:
        loaded = peer
        tasks[_PEER.name, _PEER.dtype] = lambda: from_threads(loaded, requests)
    scores = {}
    for key, task in list(tasks.items()):
        try:
            scores[key] = task()
        except Exception as error:  # noqa: BLE001 - peers fail in threads; the result says how
            reason = f"fails when called from threads: {type(error).__name__}: {str(error)[:160]}"
            missing.append(Missing(system=key[0], dtype=key[1], reason=reason))
            del tasks[key]
    reference = scores[_SERIAL.name, _SERIAL.dtype]
    seconds = interleaved(tasks, rounds=effort.side_rounds)
    ours.close()
    timings = tuple(
        Timing(system=key[0], dtype=key[1], seconds=values, difference=largest_difference(scores[key], reference))
        for key, values in seconds.items()
    )
    bulk, threads = median_of(timings, _BULK), median_of(timings, _THREADS)
    apart = next((one.difference for one in timings if one.system == _THREADS.name), None)
    return CaseResult(
        case="callers",
        title=f"{shape.name}, {effort.callers} threads x (1 query x {size} passages)",
        facts=workload.facts(),
        timings=timings,
        missing=tuple(missing),
        verdicts=(
            judge("threads-bulk", ratio(bulk, threads)),
            judge(
                "threads-st",
                ratio(median_of(timings, _PEER), threads),
                note="; ".join(one.reason for one in missing),
            ),
            judge("threads-scores", apart),
        ),
    )


def _single(context: Context) -> CaseResult:
    shape, request = context.shapes.small, context.request(context.shapes.small)
    workload = context.pairs(shape).mixed(1)
    context.tell(f"{context.effort.single_calls} calls of one pair")
    ours = OURS.open(request)
    forward = bare_forward(request, workload.pairs[0])
    plain = PLAIN.open(request)
    names: dict[Key, Callable[[], object]] = {
        ("rerank_plugins, one call", "float32"): lambda: ours.score(workload.pairs),
        ("rerank_plugins, bare forward", "float32"): forward,
        ("plain transformers, one call", "float32"): lambda: plain.score(workload.pairs),
    }
    for task in names.values():
        task()
    seconds = interleaved(names, rounds=context.effort.single_calls)
    ours.close()
    timings = tuple(Timing(system=key[0], dtype=key[1], seconds=values) for key, values in seconds.items())
    whole, bare = timings[0].seconds, timings[1].seconds
    overhead_ms = 1e3 * median(one - other for one, other in zip(whole, bare, strict=True))
    return CaseResult(
        case="single",
        title=f"{shape.name}, 1 query x 1 passage of {workload.lengths[0]} tokens",
        facts=workload.facts() | {"calls": context.effort.single_calls},
        timings=timings,
        verdicts=(judge("single-overhead", overhead_ms, note="median over calls that take turns"),),
    )


CALLERS = Case(name="callers", title="32 threads at once against one bulk call", run=_callers)
SINGLE = Case(name="single", title="overhead of a call of one pair", run=_single)
