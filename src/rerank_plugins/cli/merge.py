"""``rerank-plugins merge``: a tuned model averaged with the one it started from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rerank_plugins.cli.model_options import Device
from rerank_plugins.cli.option_groups import takes_groups

if TYPE_CHECKING:
    from rerank_plugins.training import MergeResult

__all__ = ["merge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _AverageOptions:
    """What is averaged, and how it opens."""

    base: Annotated[str | None, typer.Option(help="What the tuned model started from: hub id, folder, mini.")] = None
    weight: Annotated[
        list[float] | None,
        typer.Option(min=0, max=1, help="Of the tuned model; repeat to try several. [0.5, 0.7, 0.85, 1 with dev data]"),
    ] = None
    kind: Annotated[str | None, typer.Option(help="reranker or embedder; by default read from the model.")] = None
    family: Annotated[str | None, typer.Option(help="Whose conventions a folder follows, where nothing tells.")] = None
    allow_pickle: Annotated[bool, typer.Option("--allow-pickle", help="Read heads in *.pt files.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _MeasureOptions:
    """What the weight is chosen by."""

    dev_data: Annotated[str | None, typer.Option(help="Set to choose the weight on, as evaluate reads it.")] = None
    keep_data: Annotated[list[str] | None, typer.Option(help="Set that must not get worse; repeat.")] = None
    keep_queries: Annotated[int, typer.Option(help="Queries of each of them at most.")] = 200
    max_drop: Annotated[float, typer.Option(min=0, help="How much worse it may get.")] = 0.01
    metric: Annotated[str, typer.Option(help="Measure to choose by: nDCG@10, MRR@10, hit@5.")] = "nDCG@10"
    top_k: Annotated[int, typer.Option("--dev-top-k", min=1, help="BM25's documents that are ranked.")] = 50
    max_length: Annotated[int | None, typer.Option(min=1, help="Tokens of an input when measuring.")] = None


@takes_groups
def merge(
    models: Annotated[list[str], typer.Argument(help="The tuned model; or several models, with a weight for each.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the merged model.")],
    average: _AverageOptions,
    measured: _MeasureOptions,
    device: Device = None,
) -> None:
    """Average the weights of a tuned model and its base: most of the gain stays, and so does general quality.

    With --dev-data several weights are tried and the best is kept that loses nothing on --keep-data.
    """
    from rerank_plugins.cli.quiet import quiet_loading
    from rerank_plugins.training import MergeSettings, merge_models

    quiet_loading()
    settings = MergeSettings(
        models=tuple(models),
        output_dir=output,
        base=average.base,
        weights=tuple(average.weight) if average.weight else None,
        kind=average.kind,  # type: ignore[arg-type]
        family=average.family,
        dev_data=measured.dev_data,
        keep_data=tuple(measured.keep_data or ()),
        keep_queries=measured.keep_queries,
        metric=measured.metric,
        max_drop=measured.max_drop,
        dev_top_k=measured.top_k,
        max_length=measured.max_length,
        device=device,
        allow_pickle=average.allow_pickle,
    )
    _show(merge_models(settings), metric=measured.metric)


def _show(result: MergeResult, *, metric: str) -> None:
    from rich.table import Table

    from rerank_plugins.cli.output import table_console

    screen = table_console()
    if result.trials:
        kept = list(result.trials[0].keep)
        chosen = next(iter(result.weights.values()))
        table = Table("weight", f"{metric} on {result.dev}", *kept, "")
        for one in result.trials:
            note = "base" if one.weight == 0 else "chosen" if one.weight == chosen else ""
            table.add_row(f"{one.weight:g}", f"{one.dev:.4f}", *(f"{one.keep[name]:.4f}" for name in kept), note)
        screen.print(table)
    parts = " + ".join(f"{weight:g} x {model}" for model, weight in result.weights.items())
    screen.print(f"{parts}: {result.n_tensors} tensors", soft_wrap=True)
    screen.print(f"Saved {result.folder}; look at {result.folder / 'README.md'}", soft_wrap=True)
