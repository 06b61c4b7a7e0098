"""``rerank-plugins report``: makes pages and pictures of evaluation results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rerank_plugins.cli.installed import dataset_of
from rerank_plugins.display.terminal import Screen
from rerank_plugins.errors import InvalidInputError

if TYPE_CHECKING:
    from rerank_plugins.evaluation import Dataset

__all__ = ["report"]


def report(
    results: Annotated[Path, typer.Argument(help="results.json of an evaluation.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report.")],
    data: Annotated[
        list[str] | None,
        typer.Option(help="What was evaluated, for rank movements and score histograms. Repeatable."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which judgements, where a set has several.")] = None,
    measure: Annotated[str | None, typer.Option(help="Measure in the pictures; nDCG@10 by default.")] = None,
    query: Annotated[str | None, typer.Option(help="Id of the query to show; three are picked by default.")] = None,
    title: Annotated[str, typer.Option(help="The report's heading.")] = "Two-stage retrieval: evaluation",
) -> None:
    """Write report.md, results.json and a self-contained report.html.

    Run files are looked for beside RESULTS.
    """
    from rerank_plugins.evaluation.results import EvaluationResults
    from rerank_plugins.reports import ReportOptions, write_report

    try:
        text = results.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{str(results)!r} could not be read ({error}); give the results.json of rerank-plugins evaluate"
        raise InvalidInputError(msg) from error
    found = EvaluationResults.from_json(text)
    evaluated = [*(cell.dataset for cell in found.cells), *(curve.dataset for curve in found.curves)]
    datasets = _datasets(data or (), split=split, known=list(dict.fromkeys(evaluated)))
    options = ReportOptions(title=title, measure=measure, query_id=query)
    files = write_report(found, output, runs=results.parent, datasets=datasets, options=options)
    console = Screen()
    for path in (files.html, files.markdown, files.json):
        console.print(str(path), soft_wrap=True)
    console.print(f"{len(files.pictures)} pictures beside the Markdown", style="dim")


def _datasets(sources: Sequence[str], *, split: str | None, known: Sequence[str]) -> dict[str, Dataset]:
    """Return data sets by name.

    Raises:
        InvalidInputError: One cannot be read, or the results have nothing of a set of its name.
    """
    from rerank_plugins.evaluation.formats import open_dataset

    found = {}
    for source in sources:
        dataset = dataset_of(source) or open_dataset(source, split=split)
        if dataset.name not in known:
            msg = (
                f"--data {source!r} is called {dataset.name!r}, and the results are of "
                f"{', '.join(map(repr, known))}; name what was evaluated, by its folder or file of that name"
            )
            raise InvalidInputError(msg)
        found[dataset.name] = dataset
    return found
