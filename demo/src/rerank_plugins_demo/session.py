"""The demonstration from beginning to end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from rerank_plugins.display.terminal import Screen
from rerank_plugins.embedder import Embedder
from rerank_plugins.engine.registry import MODELS
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation import Dataset, pool_datasets
from rerank_plugins.evaluation.movements import Case, Movement, movements, pick_cases
from rerank_plugins.reranker import Reranker
from rerank_plugins.system.files import made_folder, write_atomically
from rerank_plugins_demo.chart import save_chart
from rerank_plugins_demo.pipelines import (
    LangChainPipeline,
    LlamaIndexPipeline,
    ModelChoice,
    Pipeline,
    check_extras,
)
from rerank_plugins_demo.samples import load_samples
from rerank_plugins_demo.stages import Stage, run_stages, worse_remarks
from rerank_plugins_demo.tables import MEASURES, comparison_table, figures_table

__all__ = ["DemoOptions", "DemoResult", "run_demo"]

_TOP_N = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What to demonstrate.

    Attributes:
        model: The reranker.
        embedder: The embedder.
        top_k: Documents that the first stage retrieves and the reranker reads.
        output: Folder for the picture and the figures; made if it is not there.
        max_queries: Queries per set at most; None takes all.
        device: Where the models run; None chooses.
        language: Code of the only language to take of the sample, ``en`` or ``zh``; None takes what the models read.
    """

    model: str = "mini"
    embedder: str = "mini"
    top_k: int = 20
    output: Path = Path("demo-output")
    max_queries: int | None = None
    device: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What came out.

    Attributes:
        stages: The systems with their measures, first stages first.
        picture: The slope chart.
        figures: The measures as JSON.
        agree: Whether both frameworks returned the same documents in the same order, for the queries shown.
    """

    stages: Sequence[Stage]
    picture: Path
    figures: Path
    agree: bool


def run_demo(options: DemoOptions, console: Screen) -> DemoResult:
    """Run the demonstration and show it on a console.

    Raises:
        InvalidInputError: An option cannot work.
        MissingExtraError: Something of ``rerank-plugins[demo]`` is not installed.
        ModelError: A model cannot be loaded.
    """
    _check(options)
    with (
        Reranker(options.model, device=options.device) as reranker,
        Embedder(options.embedder, device=options.device) as embedder,
    ):
        sets, left_out = load_samples(
            reranker.spec, embedder.spec, max_queries=options.max_queries, language=options.language
        )
        pooled = pool_datasets(sets)
        _introduce(console, reranker, embedder, pooled, left_out)
        console.print(
            f"Each question: retrieve {options.top_k} documents, rerank them, show the first {_top_n(options)}."
        )
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            stages = run_stages(pooled, embedder=embedder, reranker=reranker, top_k=options.top_k, progress=progress)
        moves = movements(stages[-2].run, stages[-1].run, pooled)
        with console.status("Indexing in LlamaIndex and LangChain"):
            pipelines = _pipelines(pooled, options)
        agree = _show_cases(console, pooled, pick_cases(moves), pipelines)
        console.print(_memory_line(len(pipelines)), style="bold")
        return _report(console, options, _groups(sets, pooled), stages, moves, agree)


def _check(options: DemoOptions) -> None:
    for name, value in (("top_k", options.top_k), ("max_queries", options.max_queries)):
        if value is not None and value < 1:
            msg = f"{name} must be 1 or more, got {value}"
            raise InvalidInputError(msg)
    check_extras()
    made_folder(options.output)


def _introduce(
    console: Screen, reranker: Reranker, embedder: Embedder, pooled: Dataset, left_out: Sequence[str]
) -> None:
    console.rule("Two-stage retrieval on real data")
    console.print(f"Reranker: {reranker.model}, {reranker.dtype} on {reranker.device}")
    console.print(f"Embedder: {embedder.model}, {embedder.dtype} on {embedder.device}")
    console.print(
        f"Sample: {len(pooled.documents)} documents searched together, {len(pooled.queries)} questions, "
        "bundled under permissive licences (NOTICE.md)",
    )
    for sentence in left_out:
        console.print(sentence)
    if "mini" in (reranker.spec.id, embedder.spec.id):
        console.print(
            "The mini models were trained on questions of these same sets: see how it works here, and judge "
            "quality on data that they have not seen.",
        )


def _pipelines(pooled: Dataset, options: DemoOptions) -> list[Pipeline]:
    choice = ModelChoice(
        reranker=options.model,
        embedder=options.embedder,
        device=options.device,
        top_k=options.top_k,
        top_n=_top_n(options),
    )
    return [LlamaIndexPipeline(pooled.documents, choice), LangChainPipeline(pooled.documents, choice)]


def _top_n(options: DemoOptions) -> int:
    return min(_TOP_N, options.top_k)


def _show_cases(console: Screen, pooled: Dataset, cases: Sequence[Case], pipelines: Sequence[Pipeline]) -> bool:
    shown, *others = pipelines
    agree = True
    if not cases:
        console.print("\nThe first stage found no relevant document, so there is no query to show; try a larger top_k.")
    for case in cases:
        query_id = case.move.query_id
        query = pooled.queries[query_id]
        before, after = shown.before(query), shown.after(query)
        ids = [hit.document_id for hit in after]
        differ = [one.name for one in others if [hit.document_id for hit in one.after(query)] != ids]
        agree = agree and not differ
        console.print(f"\n{query}", style="bold cyan")
        console.print(_why(case), style="dim")
        console.print(comparison_table(pooled, query_id, before=before, after=after))
        console.print(_verdict(shown, others, differ), style="dim")
    return agree


def _why(case: Case) -> str:
    name = case.move.query_id.split("/")[0]
    ranks = (
        f"from rank {case.move.before} to {case.move.after}" if case.move.gain else f"stays at rank {case.move.after}"
    )
    return f"{name}; {case.reason}: best relevant document (✔) {ranks}"


def _verdict(shown: Pipeline, others: Sequence[Pipeline], differ: Sequence[str]) -> str:
    if differ:
        return f"Shown: {shown.name}. Another order (equal scores can differ): {', '.join(differ)}."
    names = ", ".join(one.name for one in others)
    return f"Shown: {shown.name}. Same documents in the same order: {names}."


def _memory_line(n_frameworks: int) -> str:
    return (
        f"\nWeights in this process: {len(MODELS)} models, one copy of each, shared by the core and "
        f"{n_frameworks} frameworks."
    )


def _groups(sets: Sequence[Dataset], pooled: Dataset) -> list[tuple[str, list[str]]]:
    single = [(one.name, [f"{one.name}/{query_id}" for query_id in one.queries]) for one in sets]
    return [*single, (pooled.name, list(pooled.queries))] if len(single) > 1 else single


def _report(
    console: Screen,
    options: DemoOptions,
    groups: list[tuple[str, list[str]]],
    stages: Sequence[Stage],
    moves: Sequence[Movement],
    agree: bool,  # noqa: FBT001
) -> DemoResult:
    console.print(figures_table(stages, groups))
    for remark in worse_remarks(stages[-2], stages[-1], groups, MEASURES):
        console.print(remark, soft_wrap=True)
    figures = options.output / "figures.json"
    write_atomically(figures, (json.dumps(_as_json(options, groups, stages), indent=2) + "\n").encode())
    by_set = {name: [m for m in moves if m.query_id in set(ids)] for name, ids in groups if name != "all"}
    picture = save_chart(
        by_set,
        options.output / "rank_movements.png",
        title=f"Where reranking moves the relevant documents ({options.embedder} retrieves, {options.model} reranks)",
        top_k=options.top_k,
    )
    console.print(f"Saved {picture} and {figures}", soft_wrap=True)
    return DemoResult(stages, picture, figures, agree)


def _as_json(options: DemoOptions, groups: list[tuple[str, list[str]]], stages: Sequence[Stage]) -> dict[str, object]:
    rows = [
        {
            "queries": name,
            "n_queries": len(ids),
            "system": stage.name,
            **{measure: stage.evaluation.mean(measure, queries=ids) for measure in stage.evaluation.per_query},
            "ms_per_query": stage.mean_ms(ids),
        }
        for name, ids in groups
        for stage in stages
    ]
    return {"model": options.model, "embedder": options.embedder, "top_k": options.top_k, "rows": rows}
