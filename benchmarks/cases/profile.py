"""Where our time goes: the share of each kind of operation in a request, so that a missed target is explained."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.cases.base import Case
from benchmarks.context import Context
from benchmarks.results import CaseResult
from benchmarks.systems.ours import batches_in_this_thread, open_reranker

__all__ = ["PROFILE", "shares"]

_KINDS = {
    "products": ("linear", "addmm", "aten::mm", "matmul"),
    "attention": ("scaled_dot_product", "flash_attention", "softmax", "bmm"),
    "layer norms": ("layer_norm",),
    "joining and copying": ("cat", "copy_", "clone", "index", "pad"),
    "embeddings": ("embedding",),
}
_OTHER = "the rest"


def shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the per cent of each kind of operation, from an operator's name to the time spent in it alone."""
    by_kind = dict.fromkeys((*_KINDS, _OTHER), 0.0)
    for name, spent in seconds.items():
        kind = next((kind for kind, parts in _KINDS.items() if any(part in name for part in parts)), _OTHER)
        by_kind[kind] += spent
    total = sum(by_kind.values())
    return {kind: round(100 * spent / total, 1) if total else 0.0 for kind, spent in by_kind.items()}


def _profile(context: Context) -> CaseResult:
    facts: dict[str, float | str] = {}
    for shape, documents in (
        (context.shapes.small, context.effort.documents),
        (context.shapes.base, context.effort.base_documents),
    ):
        context.tell(f"profile of {shape.name}, {documents} passages")
        with open_reranker(context.request(shape)) as reranker:
            # The profiler sees this thread, and with one thread a batch is not shared out among others.
            torch.set_num_threads(1)
            task = batches_in_this_thread(reranker, context.pairs(shape).mixed(documents).pairs)
            task()
            with profile(activities=[ProfilerActivity.CPU]) as profiler:
                task()
        torch.set_num_threads(context.threads)
        spent = {event.key: event.self_cpu_time_total for event in profiler.key_averages()}
        facts |= {f"{shape.name}: {kind}, %": share for kind, share in shares(spent).items()}
    return CaseResult(case="profile", title="where the time of our request goes, float32", facts=facts)


PROFILE = Case(name="profile", title="where our time goes", run=_profile)
