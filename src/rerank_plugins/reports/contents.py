"""The contents of a report, independent of Markdown or HTML: sections of text, tables and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rerank_plugins.calibration import fit_threshold
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.results import Curve
from rerank_plugins.reports.curves import curve_figure
from rerank_plugins.reports.evidence import Evidence, QueryMove, query_moves, split_scores
from rerank_plugins.reports.heatmap import heatmap_figure, heatmap_values
from rerank_plugins.reports.histogram import histogram_figure
from rerank_plugins.reports.movement import movement_figure
from rerank_plugins.reports.systems import Scene
from rerank_plugins.reports.table import COST, Table, result_tables, worse_sentences
from rerank_plugins.reports.tradeoff import trade_offs, tradeoff_figure

__all__ = ["Listing", "Picture", "Section", "sections_of"]

_PRECISION = 0.9
_SNIPPET = 160
_LISTED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture: a file's name, what it shows, and how to draw it. A figure is drawn for each use."""

    name: str
    alt: str
    draw: Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A query with its first documents before and after reranking.

    Attributes:
        query: The query's text.
        before: (beginning of the text, whether it is relevant), best first.
        after: The same after reranking.
    """

    query: str
    before: tuple[tuple[str, bool], ...]
    after: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and its contents, in this order: text, remarks (each a line), tables, listing, picture."""

    title: str
    text: str = ""
    remarks: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    listing: Listing | None = None
    picture: Picture | None = None


_LEGEND = (
    "Bold: the best of a column. Below a figure: its 95 % bootstrap interval over queries. ▲ ▼: better or worse than "
    "the same first stage without a reranker (paired randomisation test, p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}0.05 "
    "after Holm's correction over all comparisons of a measure). Times are of one query at a time, both stages "
    "together."
)
_COST_LEGEND = (
    f" {COST}: what 1,000 queries, one after the other, cost on this machine, in the currency of the price per hour "
    "that was given."
)


def sections_of(scene: Scene, evidence: Sequence[Evidence], *, query_id: str | None = None) -> list[Section]:
    """Return the sections for which there are results.

    Args:
        scene: The results.
        evidence: Runs and judgements.
        query_id: The query whose documents are shown; None shows three that were picked.

    Raises:
        InvalidInputError: No run has ``query_id``.
    """
    sections = _tables(scene) + _grid_pictures(scene)
    sections += [_curve(curve, number) for number, curve in enumerate(scene.results.curves, start=1)]
    moves = _moves(scene, evidence, query_id=query_id)
    return sections + moves + [section for one in evidence for section in _scores(scene, one)]


def _tables(scene: Scene) -> list[Section]:
    found = result_tables(scene)
    has_cost = any(COST in table.columns for table in found)
    if not found:
        return []
    text = _LEGEND + _COST_LEGEND * has_cost
    return [Section(title="Results", text=text, remarks=tuple(worse_sentences(scene)), tables=found)]


def _grid_pictures(scene: Scene) -> list[Section]:
    sections = []
    if len(trade_offs(scene)) > 1:
        picture = Picture(
            name="quality-latency",
            alt=f"{scene.measure} against median latency, a point per system",
            draw=lambda: tradeoff_figure(scene),
        )
        text = (
            "Each point is a system; a thin line joins a first stage to what reranks it, and the grey steps are the "
            "best quality to be had within a time."
        )
        sections.append(Section(title="Quality against latency", text=text, picture=picture))
    rows, columns, _ = heatmap_values(scene) if scene.results.cells else ([], [], [])
    if len(rows) * len(columns) > 1:
        picture = Picture(
            name="heatmap",
            alt=f"{scene.measure} of each first stage with each reranker",
            draw=lambda: heatmap_figure(scene),
        )
        what = f"Mean {scene.measure} over the datasets" if len(scene.datasets) > 1 else scene.measure
        text = f"{what}. Bold: the best of a row."
        sections.append(Section(title="First stage × reranker", text=text, picture=picture))
    return sections


def _curve(curve: Curve, number: int) -> Section:
    titles = {"growth": "As the corpus grows", "depth": "How many documents to rerank"}
    title = f"{titles.get(curve.kind, curve.kind)}: {curve.dataset}"
    picture = Picture(
        name=f"{curve.kind}-{number}", alt=f"{curve.measure} by {curve.kind}", draw=lambda: curve_figure(curve)
    )
    bands = "Bands: 95 % bootstrap intervals over queries." if _has_bands(curve) else ""
    text = " ".join(filter(None, (curve.remark, bands)))
    return Section(title=title, text=text, picture=picture)


def _has_bands(curve: Curve) -> bool:
    return any(point.estimate.low is not None for points in curve.lines.values() for point in points)


def _moves(scene: Scene, evidence: Sequence[Evidence], *, query_id: str | None) -> list[Section]:
    if query_id is not None:
        evidence = [one for one in evidence if query_id in one.before]
        if not evidence:
            msg = f"no run has query {query_id!r}; the query must be one of a dataset with runs beside the results"
            raise InvalidInputError(msg)
    if not evidence:
        return []
    chosen = evidence[0]
    system = scene.names.full(chosen.cell.system)
    return [
        Section(
            title=f"One query, {move.case.reason}",
            text=f"{chosen.dataset.name}, {system}. The query counts by its best relevant document: "
            f"rank {move.case.move.before} before, {move.case.move.after} after.",
            listing=_listing(chosen.dataset, move),
            picture=Picture(
                name=f"movement-{number}",
                alt="Ranks of this query's documents before and after",
                draw=lambda move=move: movement_figure(move),  # type: ignore[misc]
            ),
        )
        for number, move in enumerate(query_moves(chosen, query_id=query_id), start=1)
    ]


def _listing(dataset: Dataset, move: QueryMove) -> Listing:
    return Listing(
        query=move.query,
        before=tuple((_snippet(dataset, key), key in move.relevant) for key in move.before[:_LISTED]),
        after=tuple((_snippet(dataset, key), key in move.relevant) for key in move.after[:_LISTED]),
    )


def _snippet(dataset: Dataset, document_id: str) -> str:
    document = dataset.documents.get(document_id)
    if document is None:
        return document_id
    text = " ".join(document.contents.split())
    return text if len(text) <= _SNIPPET else text[: _SNIPPET - 1].rstrip() + "…"


def _scores(scene: Scene, one: Evidence) -> list[Section]:
    relevant, others = split_scores(one.after, one.dataset.qrels)
    if not relevant or not others:
        return []
    value, note = _threshold(relevant, others)
    picture = Picture(
        name=f"scores-{one.dataset.name}",
        alt=f"Histogram of scores of relevant and other pairs of {one.dataset.name}",
        draw=lambda: histogram_figure(
            relevant, others, threshold=value, threshold_label=f"precision {_PRECISION:g}", unit="raw score"
        ),
    )
    text = f"{scene.names.full(one.cell.system)}. A document that nobody judged counts as not relevant. {note}"
    return [Section(title=f"Scores: {one.dataset.name}", text=text, picture=picture)]


def _threshold(relevant: Sequence[float], others: Sequence[float]) -> tuple[float | None, str]:
    """Return a threshold for the picture, and a sentence about it, or why there is none."""
    scores, labels = [*relevant, *others], [True] * len(relevant) + [False] * len(others)
    try:
        fitted = fit_threshold(scores, labels, precision=_PRECISION)
    except InvalidInputError as error:
        return None, f"No threshold is drawn: {error}."
    return fitted.value, (
        f"The line is the lowest threshold with precision {_PRECISION:g} on these pairs: {fitted.n_kept:,} of "
        f"{fitted.n_pairs:,} pass, with {fitted.recall:.0%} of the relevant ones."
    )
