"""``rerank-plugins evaluate``: does a reranker help on this data, which one, how deep, at what cost?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rerank_plugins.cli.installed import dataset_of
from rerank_plugins.cli.option_groups import takes_groups
from rerank_plugins.cli.progress import tasks_progress
from rerank_plugins.display.terminal import Screen
from rerank_plugins.errors import InvalidInputError

if TYPE_CHECKING:
    from rerank_plugins.evaluation import Dataset
    from rerank_plugins.evaluation.results import EvaluationResults

__all__ = ["evaluate"]

_NONE = "none"
_LEAST_SIZE = 500
_MODEL = "Hub id, folder or mini; [NAME=]MODEL[?long_documents=maxp&max_length=256]"


@dataclass(frozen=True, slots=True, kw_only=True)
class _GridOptions:
    """What is measured."""

    retriever: Annotated[
        list[str] | None, typer.Option(help="bm25, dense, hybrid, candidates; repeat. [bm25, dense, hybrid]")
    ] = None
    embedder: Annotated[list[str] | None, typer.Option(help=f"{_MODEL}; repeat. [mini]")] = None
    reranker: Annotated[list[str] | None, typer.Option(help=f"{_MODEL}, or none; repeat. [mini]")] = None
    top_k: Annotated[list[int] | None, typer.Option(help="Documents retrieved and reranked; repeat. [20]")] = None
    top_n: Annotated[list[int] | None, typer.Option(help="Documents kept; repeat. [10]")] = None
    measure: Annotated[
        list[str] | None,
        typer.Option(help="Repeat; the first one is drawn in curves. [nDCG@10, hit@5, MRR@10, MAP, recall@10]"),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _QueryOptions:
    """Which queries are read."""

    split: Annotated[str | None, typer.Option(help="Which judgements, where a set has several.")] = None
    max_queries: Annotated[int | None, typer.Option(min=1, help="Queries per set, sampled with the seed.")] = None
    drop_bad: Annotated[
        bool, typer.Option("--drop-bad", help="Leave out blank queries and judgements of absent documents.")
    ] = False
    seed: Annotated[int, typer.Option(help="Of sampling, intervals and tests.")] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _CurveOptions:
    """Which curves are drawn."""

    growth: Annotated[bool, typer.Option("--growth", help="Curve of quality against corpus size.")] = False
    growth_from: Annotated[
        int | None, typer.Option(min=1, help="Least corpus size of the growth curve. [500]", show_default=False)
    ] = None
    depth: Annotated[list[int] | None, typer.Option(help="Curve of quality against top_k; repeat.")] = None

    @property
    def least_size(self) -> int | None:
        """The least corpus size of growth curves; None if none is asked for."""
        if self.growth_from is not None and not self.growth:
            msg = f"--growth-from {self.growth_from} does nothing without --growth: pass --growth too, or leave it out"
            raise InvalidInputError(msg)
        return (self.growth_from or _LEAST_SIZE) if self.growth else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _MachineOptions:
    """Where it is measured, and what that costs."""

    price_per_hour: Annotated[float | None, typer.Option(min=0.0, help="Of this machine, for the cost column.")] = None
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps; the best by default.")] = None


@takes_groups
def evaluate(
    data: Annotated[
        list[str],
        typer.Argument(
            help="BEIR folders, .jsonl (query, pos, neg or qrels), LlamaIndex fine-tuning .json, mteb:TASK, or demo."
        ),
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Work folder; a killed run goes on there.")] = Path(
        "evaluation"
    ),
    grid: _GridOptions,
    queries: _QueryOptions,
    curves: _CurveOptions,
    machine: _MachineOptions,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Also write the page with pictures.")] = True,
) -> None:
    """Measure retriever × embedder × reranker × top_k × top_n on your data, with intervals and a test.

    Every first stage is also measured alone. Writes results.json, the runs in TREC format, and report/report.html.
    """
    from rerank_plugins.cli.output import table_console
    from rerank_plugins.cli.quiet import quiet_loading
    from rerank_plugins.evaluation.grid import RESULTS_FILE, CurveOptions, GridOptions, run_evaluation

    options = GridOptions(
        retrievers=tuple(grid.retriever or ("bm25", "dense", "hybrid")),
        embedders=tuple(grid.embedder or ("mini",)),
        rerankers=tuple(one for one in grid.reranker or ("mini",) if one != _NONE),
        top_ks=tuple(sorted(set(grid.top_k or (20,)))),
        top_ns=tuple(sorted(set(grid.top_n or (10,)))),
        **({"measures": tuple(grid.measure)} if grid.measure else {}),  # type: ignore[arg-type]
        seed=queries.seed,
        device=machine.device,
        price_per_hour=machine.price_per_hour,
    )
    drawn = CurveOptions(growth_from=curves.least_size, depths=tuple(curves.depth or ()))
    datasets = _datasets(data, queries)
    quiet_loading()
    console = table_console()
    with tasks_progress() as progress:
        results = run_evaluation(datasets, options, output, curves=drawn, progress=progress)
    _show(console, results, datasets)
    console.print(f"Saved {output / RESULTS_FILE} and {output / 'runs'}", soft_wrap=True)
    if report:
        from rerank_plugins.reports import write_report

        files = write_report(results, output / "report", runs=output, datasets={one.name: one for one in datasets})
        console.print(f"Look at {files.html}", soft_wrap=True)


def _datasets(sources: Sequence[str], queries: _QueryOptions) -> list[Dataset]:
    from rerank_plugins.evaluation.checks import sample_queries, usable_dataset
    from rerank_plugins.evaluation.formats import open_dataset

    datasets = []
    for source in sources:
        read = dataset_of(source) or open_dataset(source, split=queries.split)
        usable = usable_dataset(read, on_bad="drop" if queries.drop_bad else "raise")
        datasets.append(sample_queries(usable, n_queries=queries.max_queries, seed=queries.seed))
    return datasets


def _show(console: Screen, results: EvaluationResults, datasets: Sequence[Dataset]) -> None:
    from rerank_plugins.cli.evaluation_table import results_remarks, results_tables

    for table in results_tables(results):
        console.print(table)
    for remark in results_remarks(results):
        console.print(remark, soft_wrap=True)
    for dataset in datasets:
        for note in dataset.notes:
            console.print(f"{dataset.name}: {note}")
