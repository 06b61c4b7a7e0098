"""Many callers at once, and one call of one pair."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median

from benchmarks.cases.base import Case, median_of, score_difference
from benchmarks.compare import largest_difference, ratio
from benchmarks.context import Context
from benchmarks.results import CaseResult, Missing, Timing
from benchmarks.rounds import Key, interleaved
from benchmarks.systems.base import Pairs, System, SystemSpec, open_or_reason
from benchmarks.systems.ours import OURS, Ours, open_reranker
from benchmarks.systems.plain import PLAIN
from benchmarks.systems.sentence_transformers_peer import CROSS_ENCODER
from benchmarks.targets import judge

__all__ = ["CALLERS", "SINGLE", "from_threads"]

_BULK = SystemSpec(name="rerank_plugins, one bulk call", dtype="float32", open=OURS.open)
_SERIAL = SystemSpec(name="rerank_plugins, one call after the other", dtype="float32", open=OURS.open)
_THREADS = SystemSpec(name="rerank_plugins, from threads", dtype="float32", open=OURS.open)
_PEER = SystemSpec(name="sentence-transformers, from threads", dtype="float32", open=CROSS_ENCODER.open)

_TURN, _SETTLING = 10, 5


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
    tasks: dict[SystemSpec, Callable[[], list[float]]] = {
        _SERIAL: lambda: [score for pairs in requests for score in ours.score(pairs)],
        _BULK: lambda: ours.score(workload.pairs),
        _THREADS: lambda: from_threads(ours, requests),
    }
    missing = []
    peer = open_or_reason(CROSS_ENCODER, context.request(shape))
    if isinstance(peer, str):
        missing.append(Missing(system=_PEER.name, dtype=_PEER.dtype, reason=peer))
    else:
        tasks[_PEER] = partial(from_threads, peer, requests)
    timings, failed = _compared(tasks, rounds=effort.side_rounds)
    ours.close()
    missing += failed
    threads = median_of(timings, _THREADS)
    why = "; ".join(one.reason for one in missing)
    return CaseResult(
        case="callers",
        title=f"{shape.name}, {effort.callers} threads x (1 query x {size} passages)",
        facts=workload.facts(),
        timings=tuple(timings),
        missing=tuple(missing),
        verdicts=(
            judge("threads-bulk", ratio(median_of(timings, _BULK), threads)),
            judge("threads-st", ratio(median_of(timings, _PEER), threads), note=why),
            judge("threads-scores", score_difference(timings, _THREADS)),
        ),
    )


def _compared(
    tasks: Mapping[SystemSpec, Callable[[], list[float]]], *, rounds: int
) -> tuple[list[Timing], list[Missing]]:
    """Time tasks that give the same scores; the first one is the reference, and one that fails is missing."""
    scores, missing = {}, []
    for spec, task in tasks.items():
        try:
            scores[spec] = task()
        except Exception as error:  # noqa: BLE001 - peers fail in threads; the result says how
            reason = f"fails when called from threads: {type(error).__name__}: {' '.join(str(error).split())[:160]}"
            missing.append(Missing(system=spec.name, dtype=spec.dtype, reason=reason))
    reference = next(iter(scores.values()), [])
    seconds = interleaved({(spec.name, spec.dtype): tasks[spec] for spec in scores}, rounds=rounds)
    timings = [
        Timing(
            system=spec.name,
            dtype=spec.dtype,
            seconds=seconds[spec.name, spec.dtype],
            difference=largest_difference(found, reference),
        )
        for spec, found in scores.items()
    ]
    return timings, missing


def _single(context: Context) -> CaseResult:
    shape, request = context.shapes.small, context.request(context.shapes.small)
    workload = context.pairs(shape).mixed(1)
    context.tell(f"{context.effort.single_calls} calls of one pair")
    ours = Ours(open_reranker(request))
    plain = PLAIN.open(request)
    call, inside, peer = "rerank_plugins, one call", "rerank_plugins, the forward in it", "plain transformers, one call"
    names: dict[Key, Callable[[], object]] = {
        (call, "float32"): lambda: ours.score(workload.pairs),
        (peer, "float32"): lambda: plain.score(workload.pairs),
    }
    for task in names.values():
        task()
    forwards = ours.time_forwards()
    rounds = max(context.effort.single_calls // _TURN, 1)
    seconds = interleaved(names, rounds=rounds, turn=_TURN, settling=_SETTLING)
    ours.close()
    # One forward a call, the settling calls of each turn included.
    counted = [one for start in range(_SETTLING, len(forwards), _TURN + _SETTLING) for one in forwards[start:][:_TURN]]
    whole = seconds[call, "float32"]
    overhead_ms = 1e3 * median(one - forward for one, forward in zip(whole, counted, strict=True))
    return CaseResult(
        case="single",
        title=f"{shape.name}, 1 query x 1 passage of {workload.lengths[0]} tokens",
        facts=workload.facts() | {"calls": len(whole)},
        timings=(
            Timing(system=call, dtype="float32", seconds=whole),
            Timing(system=inside, dtype="float32", seconds=tuple(counted)),
            Timing(system=peer, dtype="float32", seconds=seconds[peer, "float32"]),
        ),
        verdicts=(judge("single-overhead", overhead_ms, note="median over the calls; the forward is timed inside"),),
    )


CALLERS = Case(name="callers", title="32 threads at once against one bulk call", run=_callers)
SINGLE = Case(name="single", title="overhead of a call of one pair", run=_single)
