"""``rerank-plugins report``: makes pages and pictures of evaluation results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rerank_plugins.display.terminal import Screen
from rerank_plugins.errors import InvalidInputError

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
    from rerank_plugins.evaluation.formats import open_dataset
    from rerank_plugins.evaluation.results import EvaluationResults
    from rerank_plugins.reports import ReportOptions, write_report

    try:
        text = results.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{str(results)!r} could not be read ({error}); give the results.json of rerank-plugins evaluate"
        raise InvalidInputError(msg) from error
    found = EvaluationResults.from_json(text)
    datasets = {dataset.name: dataset for dataset in (open_dataset(one, split=split) for one in data or ())}
    options = ReportOptions(title=title, measure=measure, query_id=query)
    files = write_report(found, output, runs=results.parent, datasets=datasets, options=options)
    console = Screen()
    for path in (files.html, files.markdown, files.json):
        console.print(str(path), soft_wrap=True)
    console.print(f"{len(files.pictures)} pictures beside the Markdown", style="dim")
