"""Late interaction: passages from texts, and documents whose token vectors are kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.cases.base import Case, median_of, score_difference
from benchmarks.ceiling import measure_ceiling
from benchmarks.compare import ratio, top_overlap
from benchmarks.context import Context
from benchmarks.results import CaseResult, Missing, Timing, Verdict
from benchmarks.rounds import Bench, interleaved
from benchmarks.shapes import EncoderShape, linear_flops
from benchmarks.systems.base import CannotLoadError, Pairs, import_peer
from benchmarks.systems.late_interaction import LATE_SYSTEMS, colbert_folder
from benchmarks.targets import judge
from rerank_plugins import Reranker, TokenVectorStore
from rerank_plugins.backends.protocol import ScoreOptions
from rerank_plugins.embedding.kept.shards import KeptText, digest_of
from rerank_plugins.embedding.maxsim import maxsim

__all__ = ["LATE_INTERACTION"]

_Rows = npt.NDArray[np.float32]
_QUERY_VECTORS, _TOKENS, _WIDTH = 32, 180, 128
_FP32, _INT8, _PEER = "one product in fp32", "kept: int8, the best 50 exactly", "sentence-transformers maxsim"
_EXACT = "kept: float16, all exactly"


def _late(context: Context) -> CaseResult:
    shape, effort = context.shapes.small, context.effort
    request = context.request(shape)
    workload = context.pairs(shape).mixed(effort.documents)
    with Bench(LATE_SYSTEMS, request, tell=context.tell) as bench:
        timings = bench.run(workload.pairs, rounds=effort.rounds)
        missing = list(bench.missing)
    ours, peer, llama = (median_of(timings, spec) for spec in LATE_SYSTEMS)
    reasons = {one.system: one.reason for one in missing}
    least = _least_seconds(shape, colbert_folder(request), workload.pairs)
    within_reach = "" if llama is None else f"the products alone, at this CPU's rate, allow {llama / least:.1f} at most"
    verdicts = [
        judge("late-st", ratio(peer, ours), note=reasons.get(LATE_SYSTEMS[1].name, "")),
        judge("late-llama", ratio(llama, ours), note=reasons.get(LATE_SYSTEMS[2].name, within_reach)),
        judge("late-scores", score_difference(timings, LATE_SYSTEMS[1]), note=reasons.get(LATE_SYSTEMS[1].name, "")),
    ]
    with TemporaryDirectory(dir=context.root) as scratch:
        kept, gone, decided = _kept(context, colbert_folder(request), Path(scratch))
    return CaseResult(
        case="late-interaction",
        title=f"{shape.name} with {_WIDTH} numbers a token, {effort.documents} passages; {effort.kept_documents} kept",
        facts=workload.facts() | {"kept documents": effort.kept_documents, "kept tokens": _TOKENS},
        timings=(*timings, *kept),
        missing=(*missing, *gone),
        verdicts=(*verdicts, *decided),
    )


def _least_seconds(shape: EncoderShape, folder: Path, pairs: Pairs) -> float:
    """Return what the products with weights take at the fastest rate of this CPU: the least that all tokens cost."""
    with Reranker(folder, device="cpu") as reranker:
        usage = reranker.rank(pairs[0][0], [text for _, text in pairs]).usage
    assert usage is not None  # None is for rankings that no model made
    return linear_flops(shape, [usage.tokens]) / measure_ceiling(shape, torch.float32).best


def _kept(context: Context, folder: Path, scratch: Path) -> tuple[list[Timing], list[Missing], list[Verdict]]:
    """Compare one query's vectors with those of many documents: random ones, which are the hardest to tell apart."""
    n = context.effort.kept_documents
    generator = np.random.default_rng(11)
    documents = [_unit(generator, _TOKENS) for _ in range(n)]
    query = _unit(generator, _QUERY_VECTORS)
    with Reranker(folder, device="cpu", cache=TokenVectorStore(scratch / "vectors")) as reranker:
        backend: Any = reranker._kept
        texts = [
            KeptText(digest=digest_of(str(place)), windows=[(rows, None)], truncated=False)
            for place, rows in enumerate(documents)
        ]
        backend.files.add(texts, backend.identity)
        windows = [backend.files.find(str(place)).windows[0] for place in range(n)]
        best, whole = ScoreOptions(top_n=10), ScoreOptions()
        joined, lengths = np.concatenate(documents), np.full(n, _TOKENS)
        tasks: dict[tuple[str, str], Callable[[], object]] = {
            (_FP32, "float32"): lambda: maxsim(query, joined, lengths, is_mean=False),
            (_INT8, "int8"): lambda: backend.maxsim(query, windows, best, is_first=True),
            (_EXACT, "float16"): lambda: backend.maxsim(query, windows, whole, is_first=True),
        }
        missing = []
        try:
            tasks[_PEER, "float32"] = _peer_task(query, documents)
        except CannotLoadError as error:
            missing.append(Missing(system=_PEER, dtype="float32", reason=str(error)))
        scores = {key: np.asarray(task()).ravel().tolist() for key, task in tasks.items()}
        seconds = interleaved(tasks, rounds=context.effort.rounds, turn=5, settling=1)
    expected = scores[_FP32, "float32"]
    timings = [
        Timing(system=name, dtype=dtype, seconds=seconds[name, dtype], overlap=top_overlap(found, expected))
        for (name, dtype), found in scores.items()
    ]
    medians = {one.system: one.median_s for one in timings}
    by_name = {one.system: one for one in timings}
    note = missing[0].reason if missing else ""
    return (
        timings,
        missing,
        [
            judge("late-kept-ms", medians[_INT8] * 1e3),
            judge("late-kept-st", ratio(medians.get(_PEER), medians[_INT8]), note=note),
            judge("late-kept-overlap", by_name[_INT8].overlap),
        ],
    )


def _peer_task(query: _Rows, documents: list[_Rows]) -> Callable[[], object]:
    module = import_peer("sentence_transformers.util", install="pip install 'sentence-transformers>=6.2'")
    torch = import_peer("torch", install="pip install torch")
    if not hasattr(module, "maxsim"):
        msg = "this sentence-transformers has no maxsim; pip install 'sentence-transformers>=6.2'"
        raise CannotLoadError(msg)
    asked, given = [torch.from_numpy(query)], [torch.from_numpy(one) for one in documents]
    return lambda: module.maxsim(asked, given)


def _unit(generator: np.random.Generator, n: int) -> _Rows:
    rows = generator.standard_normal((n, _WIDTH)).astype(np.float32)
    unit: _Rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


LATE_INTERACTION = Case(
    name="late-interaction", title="ColBERT from texts and from kept vectors, beside its peers", run=_late
)
