"""LLM rerankers on scaled shapes: against FlagLLMReranker, by depth, and their memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from benchmarks.cases.base import Case, median_of, score_difference
from benchmarks.compare import ratio
from benchmarks.context import Context
from benchmarks.memory import ChildFailedError, in_child
from benchmarks.results import CaseResult, Timing
from benchmarks.rounds import Bench, Key, interleaved
from benchmarks.shapes import DecoderShape
from benchmarks.systems.base import SystemSpec
from benchmarks.systems.flag_embedding_peer import FLAG_LLM_RERANKER
from benchmarks.systems.ours import OURS, open_reranker
from benchmarks.targets import judge
from rerank_plugins import LayerOptions
from rerank_plugins.engine.device import default_budget_tokens

__all__ = ["LAYERWISE", "LLM", "LLM_MEMORY", "activation_bytes"]

_FLOAT = 4
_BATCH_TOKENS = default_budget_tokens(torch.device("cpu"))
_MEMORY_LENGTH = 456  # about 512 with the prompt
_PROMPTED_LENGTH = 512
_PROFILED = 24  # six batches; a profiler records every tensor
_DEPTHS = (28, 40)


def activation_bytes(shape: DecoderShape, tokens: int) -> int:
    """Return the bytes of float32 states that live at the widest point of a packed batch.

    That is inside the feed-forward part: the residual and its norm, the gate, the gate's activation and the other
    projection.
    """
    return tokens * (2 * shape.hidden + 3 * shape.intermediate) * _FLOAT


def _tiny(shape: DecoderShape) -> DecoderShape:
    """Return a shape that runs the same code and weighs nothing."""
    return replace(shape, name=f"tiny {shape.name}", layers=1, hidden=64, heads=1, kv_heads=1, intermediate=64)


def _llm(context: Context) -> CaseResult:
    shape, effort = context.shapes.gemma, context.effort
    timings: list[Timing] = []
    ratios: dict[str, float | None] = {}
    with Bench((FLAG_LLM_RERANKER, OURS), context.request(shape), tell=context.tell) as bench:
        for key, n_pairs in (("llm-few", effort.llm_few), ("llm-many", effort.llm_many)):
            workload = context.pairs(shape).mixed(n_pairs)
            found = bench.run(workload.pairs, rounds=effort.side_rounds)
            ratios[key] = ratio(median_of(found, FLAG_LLM_RERANKER), median_of(found, OURS))
            timings += [replace(timing, note=f"{n_pairs} pairs") for timing in found]
        missing = bench.missing
    reason = "; ".join(f"{one.system}: {one.reason}" for one in missing)
    compared = None if missing else score_difference(timings, OURS)
    return CaseResult(
        case="llm",
        title=f"{shape.name}, mixed lengths, the prompt on top",
        timings=tuple(timings),
        missing=tuple(missing),
        verdicts=(
            judge("llm-few", ratios["llm-few"], note=reason or f"{effort.llm_few} pairs"),
            judge("llm-many", ratios["llm-many"], note=reason or f"{effort.llm_many} pairs"),
            judge("llm-scores", compared, note=reason),
        ),
    )


def _layerwise(context: Context) -> CaseResult:
    shape = context.shapes.minicpm
    depths = _DEPTHS if shape.layers >= _DEPTHS[-1] else (shape.layers * 7 // 10, shape.layers)
    pairs = context.pairs(shape).mixed(context.effort.llm_few).pairs
    with open_reranker(context.request(shape)) as reranker:
        specs = [SystemSpec(name=f"to layer {depth}", dtype="float32", open=OURS.open) for depth in depths]
        tasks: dict[Key, Callable[[], Sequence[float]]] = {}
        for spec, depth in zip(specs, depths, strict=True):
            options = LayerOptions(cutoff_layers=(depth,))
            tasks[spec.name, spec.dtype] = lambda options=options: reranker.score(pairs, layers=options)  # type: ignore[misc]
        context.tell(f"layerwise, {len(pairs)} pairs to layers {depths[0]} and {depths[1]}")
        for task in tasks.values():
            task()
        seconds = interleaved(tasks, rounds=context.effort.side_rounds)
    timings = [Timing(system=key[0], dtype=key[1], seconds=values) for key, values in seconds.items()]
    return CaseResult(
        case="layerwise",
        title=f"{shape.name}, {len(pairs)} pairs to layers {depths[0]} and {depths[1]}",
        timings=tuple(timings),
        verdicts=(judge("layerwise", ratio(median_of(timings, specs[1]), median_of(timings, specs[0]))),),
    )


def _llm_memory(context: Context) -> CaseResult:
    shape, n_pairs = context.shapes.gemma, context.effort.llm_memory_pairs
    weights = shape.parameters * _FLOAT / 2**20
    batch = activation_bytes(shape, _BATCH_TOKENS) / 2**20
    facts: dict[str, float | str] = {
        "weights, MB": round(weights, 1),
        "one batch's activations, MB": round(batch, 1),
    }
    resident = tensors = None
    arguments = {
        "request": context.child_request(shape),
        "warm": context.child_request(_tiny(shape)),
        "documents": n_pairs,
        "length": _MEMORY_LENGTH,
    }
    for spec in (OURS, FLAG_LLM_RERANKER) if context.effort.peers_memory else (OURS,):
        context.tell(f"memory of {n_pairs} x {_PROMPTED_LENGTH} tokens by {spec.name}, in a process of its own")
        named = {**arguments, "system": spec.name, "dtype": spec.dtype}
        try:
            measured = in_child("memory", named, threads=context.threads)
            peak = measured["call_peak_mb"] - measured["before_mb"]
            if spec is OURS:
                resident = peak / (weights + batch)
                found = in_child("tensors", {**arguments, "documents": _PROFILED}, threads=context.threads)[
                    "tensors_mb"
                ]
                tensors = (weights + found) / (weights + batch)
                facts[f"{spec.name}, tensors alive at the peak beside the weights, MB"] = round(found, 1)
                given_back = in_child("memory", named, threads=context.threads, returns_memory=True)
                least = given_back["call_peak_mb"] - given_back["before_mb"]
                facts[f"{spec.name}, peak where malloc keeps nothing that is free, MB"] = round(least, 1)
        except ChildFailedError as error:
            facts[f"{spec.name}, peak"] = f"not measured: {error}"
            continue
        facts[f"{spec.name}, peak over the process before, MB"] = round(peak, 1)
        facts[f"{spec.name}, seconds"] = round(measured["seconds"], 2)
    note = f"{_BATCH_TOKENS} tokens a batch"
    return CaseResult(
        case="llm-memory",
        title=f"{shape.name}, {n_pairs} pairs of about {_PROMPTED_LENGTH} tokens",
        facts=facts,
        verdicts=(
            judge("llm-memory", resident, note=f"{n_pairs} pairs, {note}"),
            judge("llm-tensors", tensors, note=f"{_PROFILED} pairs, {note}"),
        ),
    )


LLM = Case(name="llm", title="Gemma-like reranker against FlagLLMReranker", run=_llm)
LAYERWISE = Case(name="layerwise", title="layerwise reranker, 28 of 40 layers against all", run=_layerwise)
LLM_MEMORY = Case(name="llm-memory", title="memory of a Gemma-like reranker", run=_llm_memory)
