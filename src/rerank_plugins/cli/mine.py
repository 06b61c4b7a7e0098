"""``rerank-plugins mine``: hard negatives for training data."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rerank_plugins.cli.model_options import Device, Dtype
from rerank_plugins.cli.option_groups import takes_groups
from rerank_plugins.cli.progress import rows_progress
from rerank_plugins.cli.row_options import RowOptions
from rerank_plugins.errors import InvalidInputError

if TYPE_CHECKING:
    from rerank_plugins.training import MiningResult

__all__ = ["mine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _PoolOptions:
    """Where candidates come from."""

    candidate_pool: Annotated[
        Path | None,
        typer.Option("--candidate-pool", "--candidate_pool", help='{"text"} lines or BEIR folder. [the data\'s texts]'),
    ] = None
    retriever: Annotated[list[str] | None, typer.Option(help="bm25, dense, hybrid; repeat to mix. [hybrid]")] = None
    embedder: Annotated[
        str | None, typer.Option(help="Of dense and hybrid: hub id, folder, mini. [mini]", show_default=False)
    ] = None
    faiss_index: Annotated[
        str | None,
        typer.Option(help="Of dense and hybrid: argument of faiss.index_factory. [Flat]", show_default=False),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _SamplingOptions:
    """Which of them become negatives."""

    range_for_sampling: Annotated[
        str,
        typer.Option("--range-for-sampling", "--range_for_sampling", metavar="FROM-TO", help="Ranks to take from."),
    ] = "10-210"
    negative_number: Annotated[
        int, typer.Option("--negative-number", "--negative_number", min=1, help="Negatives mined for a query.")
    ] = 15
    sampling: Annotated[str, typer.Option("--sampling-strategy", help="random or top.")] = "random"
    keep_labelled: Annotated[bool, typer.Option(help="Keep the negatives that rows have.")] = True
    random_fill: Annotated[bool, typer.Option(help="Fill up with random texts.")] = True
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 42


@dataclass(frozen=True, slots=True, kw_only=True)
class _FilterOptions:
    """Which of them are likely answers, and so are left out."""

    filter_model: Annotated[
        str | None, typer.Option(help="Reranker that drops likely answers: hub id, folder, mini.", show_default=False)
    ] = None
    relative_margin: Annotated[
        float | None,
        typer.Option(
            min=0, help="Drop above (1 - this) x the worst positive's score. [0.05 if no other rule is given]"
        ),
    ] = None
    absolute_margin: Annotated[
        float | None, typer.Option(min=0, help="Drop above the worst positive's score minus this.")
    ] = None
    max_score: Annotated[float | None, typer.Option(help="Drop above this score.")] = None
    min_score: Annotated[float | None, typer.Option(help="Drop below this score: too easy.")] = None
    show_dropped: Annotated[int, typer.Option(min=0, help="Dropped candidates to print, for a look at them.")] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunOptions(RowOptions):
    """Where models run, how the data are read, and the run goes on."""

    device: Device = None
    dtype: Dtype = "auto"


@takes_groups
def mine(
    data: Annotated[list[Path], typer.Argument(help="Training data with positives, in any format of: data formats.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON lines with the negatives.")],
    pool: _PoolOptions,
    draws: _SamplingOptions,
    filtering: _FilterOptions,
    run: _RunOptions,
) -> None:
    """Find hard negatives for every query; a run that was stopped goes on where it was.

    Candidates stand at the given ranks of the first stages. Those that are the query, a positive, or score like an
    answer are left out; labelled negatives stay.
    """
    from rerank_plugins import Embedder, Reranker
    from rerank_plugins.cli.quiet import quiet_loading
    from rerank_plugins.training import MiningSettings, ScoreFilter, mine_negatives

    settings = MiningSettings(
        data=tuple(data),
        output=output,
        format_name=run.format_name,
        candidate_pool=pool.candidate_pool,
        retrievers=tuple(pool.retriever or ["hybrid"]),  # type: ignore[arg-type]
        faiss_index=pool.faiss_index or "Flat",
        range_for_sampling=draws.range_for_sampling,
        negative_number=draws.negative_number,
        sampling_strategy=draws.sampling,  # type: ignore[arg-type]
        score_filter=ScoreFilter(
            max_score=filtering.max_score,
            min_score=filtering.min_score,
            absolute_margin=filtering.absolute_margin,
            relative_margin=filtering.relative_margin,
        ),
        keep_labelled=draws.keep_labelled,
        random_fill=draws.random_fill,
        seed=draws.seed,
        show_dropped=filtering.show_dropped,
        restart=run.restart,
    )
    if not settings.needs_embedder and (pool.embedder is not None or pool.faiss_index is not None):
        msg = "--embedder and --faiss-index are of dense first stages: leave them out, or add --retriever dense"
        raise InvalidInputError(msg)
    quiet_loading()
    with ExitStack() as stack:
        embedder: Embedder | str = pool.embedder or "mini"
        if settings.needs_embedder:
            embedder = Embedder(str(embedder), device=run.device, dtype=run.dtype)
            stack.callback(embedder.close)
        reranker = None
        if filtering.filter_model is not None:
            reranker = stack.enter_context(Reranker(filtering.filter_model, device=run.device, dtype=run.dtype))
        on_row = stack.enter_context(rows_progress())
        result = mine_negatives(settings, embedder=embedder, filter_model=reranker, on_row=on_row)
    _show(result)


def _show(result: MiningResult) -> None:
    from rich.table import Table

    from rerank_plugins.cli.output import table_console
    from rerank_plugins.training.mining.results import COUNTED

    screen = table_console()
    before = f", {result.n_resumed} of them before" if result.n_resumed else ""
    screen.print(f"{result.n_rows} rows{before}, {result.n_pool} texts in the pool: {result.output}", soft_wrap=True)
    table = Table("what", "how many", "per row")
    for name, count in result.counts.items():
        table.add_row(COUNTED[name], str(count), f"{count / result.n_rows:.2f}")
    screen.print(table)
    for one in result.dropped:
        screen.print(
            f"dropped: {one.score:.4f} (worst positive {one.worst_positive:.4f}) at {one.where}\n"
            f"    query  {one.query}\n    text   {one.text}",
            soft_wrap=True,
        )
