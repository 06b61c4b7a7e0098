"""Jobs that want a process of their own, to measure memory or time: ``python -m benchmarks.child JOB ARGUMENTS``.

ARGUMENTS and the last line of the output are JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.memory import peak_mb, reset_peak, resident_mb, tensor_peak_mb
from benchmarks.systems import registry
from benchmarks.systems.base import OpenRequest, opened
from benchmarks.systems.ours import batches_in_this_thread, open_reranker
from benchmarks.workloads import PairMaker, Workload

__all__ = ["JOBS", "growth_mb", "main", "numbered", "tenths"]

_SAMPLES = 200
_DISTINCT = 2_000
_STREAM_TOKENS = 24


def _request(arguments: dict[str, Any]) -> OpenRequest:
    fields = {**arguments["request"]}
    return OpenRequest(**{**fields, "folder": Path(fields["folder"]), "scratch": Path(fields["scratch"])})


def _workload(arguments: dict[str, Any], folder: Path) -> Workload:
    maker = PairMaker(folder)
    if arguments["length"] is None:
        return maker.mixed(arguments["documents"])
    return maker.fixed(arguments["documents"], length=arguments["length"])


def memory_of_call(arguments: dict[str, Any]) -> dict[str, Any]:
    """Load a system, score one request, and return memory in MB before loading, after it, and at the call's peak.

    Code and thread pools are no part of a model: if ``arguments`` name another checkpoint as ``warm``, a pair goes
    through it first, and the memory before is what is in use after that.
    """
    request = _request(arguments)
    workload = _workload(arguments, request.folder)
    if "warm" in arguments:
        warm = _request(arguments | {"request": arguments["warm"]})
        system = opened(registry.by_key(arguments["system"], arguments["dtype"]), warm)
        system.score(workload.pairs[:1])
        system.close()
    before = resident_mb()
    system = opened(registry.by_key(arguments["system"], arguments["dtype"]), request)
    load_peak, loaded = peak_mb(), resident_mb()
    was_reset = reset_peak()
    start = time.perf_counter()
    system.score(workload.pairs)
    seconds = time.perf_counter() - start
    return {
        "before_mb": before,
        "loaded_mb": loaded,
        "load_peak_mb": load_peak,
        "call_peak_mb": peak_mb(),
        "peak_was_reset": was_reset,
        "seconds": seconds,
    } | workload.facts()


def latency(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the median time of one request of a system, asked again and again, after as many calls as warm-up."""
    request = _request(arguments)
    pairs = _workload(arguments, request.folder).pairs
    system = opened(registry.by_key(arguments["system"], arguments["dtype"]), request)
    seconds = []
    for _ in range(2 * int(arguments["calls"])):
        start = time.perf_counter()
        system.score(pairs)
        seconds.append(time.perf_counter() - start)
    return {"median_seconds": median(seconds[len(seconds) // 2 :])}


def tensors_of_call(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return what the tensors of our call take at most beside the weights, in MB."""
    request = _request(arguments)
    workload = _workload(arguments, request.folder)
    task = batches_in_this_thread(open_reranker(request), workload.pairs)
    task()
    return {"tensors_mb": tensor_peak_mb(task)}


def stream(arguments: dict[str, Any]) -> dict[str, Any]:
    """Send many pairs through ``score_stream`` and return how memory went; no two pairs are equal."""
    reranker = open_reranker(_request(arguments))
    if not hasattr(reranker, "score_stream"):
        return {"missing": "this version has no Reranker.score_stream"}
    n_pairs = int(arguments["pairs"])
    maker = PairMaker(Path(arguments["request"]["folder"]))
    distinct = maker.fixed(min(n_pairs, _DISTINCT), length=_STREAM_TOKENS).pairs
    samples: list[tuple[int, float]] = []
    start, n_scores = time.perf_counter(), 0
    every = max(n_pairs // _SAMPLES, 1)
    for n_scores, _ in enumerate(reranker.score_stream(numbered(distinct, n_pairs)), start=1):
        if n_scores % every == 0:
            samples.append((n_scores, resident_mb()))
    seconds = time.perf_counter() - start
    return {"pairs": n_scores, "seconds": seconds, "growth_mb": growth_mb(samples), "course": tenths(samples)}


def growth_mb(samples: list[tuple[int, float]]) -> float:
    """Return how much more memory was used at most after the first tenth of the samples than at its end."""
    settled = max(len(samples) // 10, 1) - 1
    return max(value for _, value in samples[settled:]) - samples[settled][1]


def tenths(samples: list[tuple[int, float]]) -> str:
    """Return the memory at each tenth of the samples, in whole MB: a leak climbs to the end, a warm-up levels off."""
    chosen = {max(len(samples) * tenth // 10, 1) - 1: None for tenth in range(1, 11)}
    return ", ".join(f"{samples[index][1]:.0f}" for index in chosen)


def numbered(pairs: Sequence[tuple[str, str]], n: int) -> Iterator[tuple[str, str]]:
    """Yield ``n`` different pairs, at most ten million, whose lengths in tokens are spread alike from first to last.

    Counting up would make texts longer on the way, and memory would grow with them.
    """
    for index in range(n):
        query, document = pairs[index % len(pairs)]
        # The factor has no divisor in common with 10 ** 7, so that each number comes once.
        yield query, f"{document} {index * 7_654_321 % 10**7:07d}"


JOBS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "latency": latency,
    "memory": memory_of_call,
    "tensors": tensors_of_call,
    "stream": stream,
}


def main() -> None:
    """Run the job that the command line names."""
    job, arguments = sys.argv[1], json.loads(sys.argv[2])
    torch.set_num_threads(int(arguments["request"]["threads"]))
    print(json.dumps(JOBS[job](arguments)))


if __name__ == "__main__":
    main()
