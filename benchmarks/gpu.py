"""``python -m benchmarks.gpu``: the same comparison on a CUDA device, with the share of its matrix-multiply rate.

This file has not been run on a GPU yet; where it was written there is none. Its pure parts are tested on the CPU.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Annotated, Any, cast

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

import torch
import typer
from rich.console import Console

from benchmarks.cases.base import median_of, score_difference
from benchmarks.cases.ceilings import executed_flops
from benchmarks.ceiling import combined_rate, observed_linear_flops, share_of_ceiling
from benchmarks.compare import ratio
from benchmarks.context import EFFORTS, Context
from benchmarks.environment import available_cores, describe
from benchmarks.results import CaseResult, RunRecord, Timing, write_record
from benchmarks.rounds import Bench
from benchmarks.shapes import EncoderShape
from benchmarks.systems.ours import OURS, OURS_FP16, bare_forward
from benchmarks.systems.plain import PLAIN
from benchmarks.systems.sentence_transformers_peer import CROSS_ENCODER_FP16
from benchmarks.tables import case_tables, verdict_table
from benchmarks.targets import judge

__all__ = ["cuda_ceiling", "main", "require_cuda"]

_LONG = 510  # 512 with room for what a tokenizer adds at a seam
_LONG_DOCUMENTS = 256
_MIXED_DOCUMENTS = 1_000
_LATENCY_DOCUMENTS = 100
_LATENCY_LENGTH = 128
_CEILING_ROWS = 32_768
_CEILING_REPEATS = 20
_NO_CUDA = (
    "no CUDA device: torch.cuda.is_available() is False with torch {version} (built for CUDA {cuda}). "
    "Run this on a machine with an NVIDIA GPU and a CUDA build of torch; `python -m benchmarks` measures the CPU."
)


def require_cuda() -> None:
    """Raise typer.Exit with a message if there is no CUDA device."""
    if not torch.cuda.is_available():
        message = _NO_CUDA.format(version=torch.__version__, cuda=torch.version.cuda)
        Console(stderr=True).print(message)
        raise typer.Exit(code=2)


def cuda_ceiling(shape: EncoderShape, dtype: torch.dtype, *, device: str) -> float:
    """Return the best operations per second on a shape's weight matrices, weighted by their part of a block."""
    sizes = [(shape.hidden, shape.hidden)] * 4
    sizes += [(shape.hidden, shape.intermediate), (shape.intermediate, shape.hidden)]
    parts = []
    with torch.inference_mode():
        for width, out in dict.fromkeys(sizes):
            states = torch.randn(_CEILING_ROWS, width, device=device, dtype=dtype)
            weight = torch.randn(out, width, device=device, dtype=dtype)
            work = 2.0 * _CEILING_ROWS * width * out
            parts.append((work * sizes.count((width, out)), work / _fastest_s(states, weight)))
    return combined_rate(parts)


def _fastest_s(states: torch.Tensor, weight: torch.Tensor) -> float:
    torch.nn.functional.linear(states, weight)
    best, event = float("inf"), cast("Any", torch.cuda.Event)
    for _ in range(_CEILING_REPEATS):
        start, end = event(enable_timing=True), event(enable_timing=True)
        start.record()
        torch.nn.functional.linear(states, weight)
        end.record()
        end.synchronize()
        best = min(best, start.elapsed_time(end) / 1e3)
    return best


def _long(context: Context) -> CaseResult:
    shape = context.shapes.large
    workload = context.pairs(shape).fixed(_LONG_DOCUMENTS, length=_LONG)
    ceiling = cuda_ceiling(shape, torch.float16, device=context.device)
    with Bench((OURS_FP16, CROSS_ENCODER_FP16), context.request(shape), tell=context.tell) as bench:
        timings = bench.run(workload.pairs, rounds=context.effort.rounds)
        missing = bench.missing
    forward = bare_forward(context.request(shape), workload.pairs, dtype=OURS_FP16.dtype)
    observed = observed_linear_flops(forward)
    flops, how = executed_flops(shape, workload.lengths, observed=observed)
    ceiling = max(ceiling, cuda_ceiling(shape, torch.float16, device=context.device))
    seconds = median_of(timings, OURS_FP16)
    share, note = (None, "did not run") if seconds is None else share_of_ceiling(flops, seconds, ceiling)
    return CaseResult(
        case="gpu-long",
        title=f"{shape.name}, fp16, {workload.name}",
        facts=workload.facts()
        | {"ceiling, TFLOP/s": round(ceiling / 1e12, 1), "executed, TFLOP": round(flops / 1e12, 2), "counted as": how},
        timings=tuple(timings),
        missing=tuple(missing),
        verdicts=(judge("gpu-mfu", share, note=note),),
    )


def _mixed(context: Context) -> CaseResult:
    shape = context.shapes.large
    workload = context.pairs(shape).mixed(_MIXED_DOCUMENTS)
    systems = (PLAIN, OURS, CROSS_ENCODER_FP16, OURS_FP16)
    with Bench(systems, context.request(shape), tell=context.tell) as bench:
        timings = bench.run(workload.pairs, rounds=context.effort.rounds)
        missing = bench.missing
    theirs, ours = median_of(timings, CROSS_ENCODER_FP16), median_of(timings, OURS_FP16)
    note = "largest score difference to fp32: ours {}, theirs {}".format(
        *(_scientific(score_difference(timings, spec)) for spec in (OURS_FP16, CROSS_ENCODER_FP16))
    )
    return CaseResult(
        case="gpu-mixed",
        title=f"{shape.name}, fp16, {workload.name}",
        facts=workload.facts(),
        timings=tuple(timings),
        missing=tuple(missing),
        verdicts=(judge("gpu-st", ratio(theirs, ours), note=note),),
    )


def _scientific(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1e}"


def _latency(context: Context) -> CaseResult:
    shape = context.shapes.base
    workload = context.pairs(shape).fixed(_LATENCY_DOCUMENTS, length=_LATENCY_LENGTH)
    system = OURS_FP16.open(context.request(shape))
    seconds = _each(lambda: system.score(workload.pairs), n=context.effort.single_calls)
    system.close()
    timing = Timing(system=OURS_FP16.name, dtype=OURS_FP16.dtype, seconds=tuple(seconds))
    return CaseResult(
        case="gpu-latency",
        title=f"{shape.name}, fp16, {workload.name}, text in and scores out",
        facts=workload.facts(),
        timings=(timing,),
        verdicts=(judge("gpu-latency", 1e3 * median(seconds)),),
    )


def _each(call: Callable[[], object], *, n: int) -> Sequence[float]:
    for _ in range(5):
        call()
    seconds = []
    for _ in range(n):
        start = time.perf_counter()
        call()  # the scores come back as Python floats: the device has finished
        seconds.append(time.perf_counter() - start)
    return seconds


def main(
    *,
    device: Annotated[str, typer.Option(help="A CUDA device.")] = "cuda",
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = 7,
    out: Annotated[Path, typer.Option(help="Where the JSON goes.")] = Path("benchmarks/results/gpu.json"),
    work: Annotated[Path | None, typer.Option(help="Keeps checkpoints between runs; default: a fresh folder.")] = None,
) -> None:
    """Measure this project beside sentence-transformers on a GPU."""
    require_cuda()
    console = Console(width=None if Console().is_terminal else 150)
    root = work or Path(tempfile.mkdtemp(prefix="rerank-plugins-benchmarks-"))
    context = Context(
        effort=replace(EFFORTS["usual"], name="gpu", rounds=rounds),
        root=root,
        threads=available_cores(),
        tell=lambda line: console.print(f"[dim]{line}[/dim]"),
        device=device,
    )
    environment = describe(threads=context.threads)
    results: list[CaseResult] = []
    try:
        for run in (_long, _mixed, _latency):
            results.append(run(context))
            console.print(case_tables(results[-1]))
            write_record(RunRecord(environment=environment, options={"effort": "gpu"}, cases=tuple(results)), out)
    finally:
        if work is None:
            shutil.rmtree(root, ignore_errors=True)
    console.print(verdict_table([verdict for result in results for verdict in result.verdicts]))
    console.print(f"written to {out}")


if __name__ == "__main__":
    typer.run(main)
