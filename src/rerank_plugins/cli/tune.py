"""``rerank-plugins tune``: the best cascade of some stages within a budget of time, from labelled data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rerank_plugins.cli.installed import dataset_of
from rerank_plugins.cli.option_groups import takes_groups
from rerank_plugins.cli.progress import rows_progress
from rerank_plugins.display.terminal import Screen

if TYPE_CHECKING:
    from rerank_plugins.evaluation import Dataset
    from rerank_plugins.evaluation.tuning import Tuning

__all__ = ["tune"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SearchOptions:
    """Which cascades are tried, and what is best."""

    budget_ms: Annotated[float, typer.Option(help="Mean milliseconds of a query, all stages.")]
    stage: Annotated[
        list[str] | None,
        typer.Option("--stage", "-s", help="A candidate, from cheap to dear; repeat. [cosine:mini, mini]"),
    ] = None
    depth: Annotated[list[int] | None, typer.Option(help="Depths to try; repeat. [5 10 20 50 100 200 500]")] = None
    min_probability: Annotated[list[float] | None, typer.Option(help="Thresholds to try; repeat. [none]")] = None
    max_stages: Annotated[int, typer.Option(min=1, help="Stages of a cascade at most.")] = 3
    measure: Annotated[str, typer.Option(help="What is best.")] = "nDCG@10"


@dataclass(frozen=True, slots=True, kw_only=True)
class _QueryOptions:
    """Which queries are read, and the documents of each."""

    top_k: Annotated[int, typer.Option(min=1, help="Candidates by BM25, where the data has none.")] = 100
    split: Annotated[str | None, typer.Option(help="Which judgements, where a set has several.")] = None
    max_queries: Annotated[int | None, typer.Option(min=1, help="Queries, sampled with the seed.")] = None
    seed: Annotated[int, typer.Option(min=0, help="Of sampling, halves, intervals and the test.")] = 0


@takes_groups
def tune(
    data: Annotated[str, typer.Argument(help="Labelled data, as of evaluate: a folder, a file, mteb:TASK, or demo.")],
    *,
    search: _SearchOptions,
    queries: _QueryOptions,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the page and the cascade.")] = Path(
        "tuning"
    ),
) -> None:
    """Find stages and depths of a cascade: best quality within a budget, checked on held-out queries.

    Writes cascade.json, tuning.json and tuning.html with the Pareto front.
    """
    from rerank_plugins.cli.quiet import quiet_loading
    from rerank_plugins.evaluation.tuning import SearchOptions
    from rerank_plugins.evaluation.tuning import tune as tuned
    from rerank_plugins.reports.tuning import write_tuning_report
    from rerank_plugins.system.files import write_atomically

    tried = SearchOptions(
        **({"depths": tuple(search.depth)} if search.depth else {}),  # type: ignore[arg-type]
        min_probabilities=tuple(search.min_probability or ()),
        max_stages=search.max_stages,
    )
    dataset = _dataset(data, queries)
    stages = search.stage or ["cosine:mini", "mini"]
    candidates = dict(dataset.candidates) or _retrieved(dataset, queries.top_k)
    quiet_loading()
    calls, n_calls = count(1), len(stages) * len(dataset.queries)
    with rows_progress() as on_row:
        found = tuned(
            dataset,
            stages,
            budget_ms=search.budget_ms,
            candidates=candidates,
            search=tried,
            measure=search.measure,
            seed=queries.seed,
            advance=lambda _: on_row(next(calls), n_calls),
        )
    page = write_tuning_report(found, output)
    write_atomically(output / "cascade.json", found.cascade_json().encode())
    _show(Screen(), found)
    Screen().print(f"Look at {page}; use it as --model cascade:{output / 'cascade.json'}", soft_wrap=True)


def _dataset(source: str, queries: _QueryOptions) -> Dataset:
    from rerank_plugins.evaluation import open_dataset, sample_queries, usable_dataset

    usable = usable_dataset(dataset_of(source) or open_dataset(source, split=queries.split))
    return sample_queries(usable, n_queries=queries.max_queries, seed=queries.seed)


def _retrieved(dataset: Dataset, top_k: int) -> dict[str, list[str]]:
    from rerank_plugins.evaluation import BM25Index

    index = BM25Index(dataset.texts)
    return {query_id: list(index.search(text, top_k=top_k)) for query_id, text in dataset.queries.items()}


def _show(console: Screen, found: Tuning) -> None:
    console.print(f"{'ms':>9}  {found.measure:>9}  {'held out':>9}  cascade", soft_wrap=True)
    for one in found.front:
        mark = "  <- recommended" if one == found.recommended else ""
        values = f"{one.tuned.ms:9.2f}  {one.tuned.quality.value:9.4f}  {one.held_out.quality.value:9.4f}"
        console.print(f"{values}  {one.name}{mark}", soft_wrap=True)
    compared = found.comparison
    console.print(
        f"held out, against {found.reference.name}: {compared.difference:+.4f} (p = {compared.p_value:.3g}), "
        f"{found.recommended.held_out.ms:.3g} ms instead of {found.reference.held_out.ms:.3g} ms a query",
        soft_wrap=True,
    )
