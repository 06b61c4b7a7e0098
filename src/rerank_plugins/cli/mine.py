"""``rerank-plugins mine``: hard negatives for training data."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rerank_plugins.cli.model_options import Device, Dtype
from rerank_plugins.cli.rows_progress import rows_progress
from rerank_plugins.errors import InvalidInputError

if TYPE_CHECKING:
    from rerank_plugins.training import MiningResult

__all__ = ["mine"]

_DEFAULT_RETRIEVER, _DEFAULT_EMBEDDER, _DEFAULT_INDEX = "hybrid", "mini", "Flat"


def mine(
    data: Annotated[list[Path], typer.Argument(help="Training data with positives, in any format of: data formats.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON lines with the negatives.")],
    candidate_pool: Annotated[
        Path | None,
        typer.Option("--candidate-pool", "--candidate_pool", help='{"text"} lines or BEIR folder. [the data\'s texts]'),
    ] = None,
    retriever: Annotated[list[str] | None, typer.Option(help="bm25, dense, hybrid; repeat to mix. [hybrid]")] = None,
    embedder: Annotated[
        str | None, typer.Option(help="Of dense and hybrid: hub id, folder, mini. [mini]", show_default=False)
    ] = None,
    range_for_sampling: Annotated[
        str,
        typer.Option("--range-for-sampling", "--range_for_sampling", metavar="FROM-TO", help="Ranks to take from."),
    ] = "10-210",
    negative_number: Annotated[
        int, typer.Option("--negative-number", "--negative_number", min=1, help="Negatives mined for a query.")
    ] = 15,
    sampling: Annotated[str, typer.Option("--sampling-strategy", help="random or top.")] = "random",
    filter_model: Annotated[
        str | None, typer.Option(help="Reranker that drops likely answers: hub id, folder, mini.", show_default=False)
    ] = None,
    relative_margin: Annotated[
        float | None,
        typer.Option(
            min=0, help="Drop above (1 - this) x the worst positive's score. [0.05 if no other rule is given]"
        ),
    ] = None,
    absolute_margin: Annotated[
        float | None, typer.Option(min=0, help="Drop above the worst positive's score minus this.")
    ] = None,
    max_score: Annotated[float | None, typer.Option(help="Drop above this score.")] = None,
    min_score: Annotated[float | None, typer.Option(help="Drop below this score: too easy.")] = None,
    keep_labelled: Annotated[bool, typer.Option(help="Keep the negatives that rows have.")] = True,
    random_fill: Annotated[bool, typer.Option(help="Fill up with random texts.")] = True,
    faiss_index: Annotated[
        str | None,
        typer.Option(help="Of dense and hybrid: argument of faiss.index_factory. [Flat]", show_default=False),
    ] = None,
    device: Device = None,
    dtype: Dtype = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 42,
    show_dropped: Annotated[int, typer.Option(min=0, help="Dropped candidates to print, for a look at them.")] = 0,
    format_name: Annotated[str | None, typer.Option("--format", metavar="NAME", help="Format of the data.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Throw an earlier run's output away.")] = False,
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
        format_name=format_name,
        candidate_pool=candidate_pool,
        retrievers=tuple(retriever or [_DEFAULT_RETRIEVER]),  # type: ignore[arg-type]
        faiss_index=faiss_index or _DEFAULT_INDEX,
        range_for_sampling=range_for_sampling,
        negative_number=negative_number,
        sampling_strategy=sampling,  # type: ignore[arg-type]
        score_filter=ScoreFilter(
            max_score=max_score,
            min_score=min_score,
            absolute_margin=absolute_margin,
            relative_margin=relative_margin,
        ),
        keep_labelled=keep_labelled,
        random_fill=random_fill,
        seed=seed,
        show_dropped=show_dropped,
        restart=restart,
    )
    if not settings.needs_embedder and (embedder is not None or faiss_index is not None):
        msg = "--embedder and --faiss-index are of dense first stages: leave them out, or add --retriever dense"
        raise InvalidInputError(msg)
    quiet_loading()
    with ExitStack() as stack:
        name = embedder or _DEFAULT_EMBEDDER
        opened: Embedder | str = name
        if settings.needs_embedder:
            opened = Embedder(name, device=device, dtype=dtype)
            stack.callback(opened.close)
        reranker = None
        if filter_model is not None:
            reranker = stack.enter_context(Reranker(filter_model, device=device, dtype=dtype))
        on_row = stack.enter_context(rows_progress())
        result = mine_negatives(settings, embedder=opened, filter_model=reranker, on_row=on_row)
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
