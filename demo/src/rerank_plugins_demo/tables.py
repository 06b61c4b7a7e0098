"""What the demonstration shows, as rich tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from rerank_plugins.evaluation import Dataset, Document
from rerank_plugins_demo.pipelines import Hit
from rerank_plugins_demo.stages import Stage

__all__ = ["MEASURES", "comparison_table", "figures_table", "snippet"]

_SNIPPET_CHARACTERS = 88
MEASURES = ("hit@5", "MRR@10", "nDCG@10")


def snippet(document: Document, *, n_characters: int = _SNIPPET_CHARACTERS) -> str:
    """Return a document's title, or else the beginning of its text, on one line."""
    line = " ".join((document.title or document.text).split())
    return line if len(line) <= n_characters else f"{line[: n_characters - 1].rstrip()}…"


def comparison_table(dataset: Dataset, query_id: str, *, before: Sequence[Hit], after: Sequence[Hit]) -> Table:
    """Return the first documents before and after reranking, side by side.

    Args:
        dataset: Holds the texts and judgements.
        query_id: Which query.
        before: All documents that the first stage found, best first.
        after: The documents left after reranking, best first.
    """
    relevant = dataset.relevant_ids(query_id)
    rank_before = {hit.document_id: rank for rank, hit in enumerate(before, start=1)}
    table = Table(expand=True, show_lines=False, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right", width=2)
    table.add_column("before: dense only", ratio=1)
    table.add_column("moved", width=8)
    table.add_column("after: dense + rerank", ratio=1)
    for i, hit in enumerate(after):
        first = before[i].document_id if i < len(before) else None
        table.add_row(
            str(i + 1),
            _cell(dataset, first, relevant) if first else Text(""),
            _move(rank_before.get(hit.document_id), i + 1),
            _cell(dataset, hit.document_id, relevant),
        )
    return table


def figures_table(stages: Sequence[Stage], groups: Sequence[tuple[str, list[str]]]) -> Table:
    """Return the measures of each stage, for each group of queries.

    Args:
        stages: The systems.
        groups: A name and its query ids, for each section of the table.
    """
    table = Table(title="Figures, higher is better; the best of each group in bold", title_justify="left")
    table.add_column("queries")
    table.add_column("system")
    for name in MEASURES:
        table.add_column(name, justify="right")
    table.add_column("ms per query", justify="right")
    for name, queries in groups:
        best = {measure: max(s.evaluation.mean(measure, queries=queries) for s in stages) for measure in MEASURES}
        for stage in stages:
            values = [stage.evaluation.mean(measure, queries=queries) for measure in MEASURES]
            table.add_row(
                f"{name} ({len(queries)})" if stage is stages[0] else "",
                stage.name,
                *(_value(value, value == best[m]) for m, value in zip(MEASURES, values, strict=True)),
                f"{stage.mean_ms(queries):,.1f}",
            )
        table.add_section()
    return table


def _cell(dataset: Dataset, document_id: str, relevant: set[str]) -> Text:
    line = snippet(dataset.documents[document_id])
    return Text(f"✔ {line}", style="bold green") if document_id in relevant else Text(f"  {line}")


def _move(before: int | None, after: int) -> Text:
    if before is None:
        return Text("new")
    if before == after:
        return Text("=", style="dim")
    arrow, style = ("↑", "blue") if after < before else ("↓", "yellow")
    return Text(f"{arrow} {before}→{after}", style=style)


def _value(value: float, is_best: bool) -> Text:  # noqa: FBT001
    return Text(f"{value:.3f}", style="bold" if is_best else "")
