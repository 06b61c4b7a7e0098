"""The page about a tuned cascade: the recommendation, the Pareto front and what stages cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.display.terminal import visible
from rerank_plugins.evaluation.tuning import CascadePoint, StageCost, Tuning
from rerank_plugins.evaluation.worse import SIGNIFICANCE
from rerank_plugins.reports.contents import Picture, Section
from rerank_plugins.reports.page import html_report
from rerank_plugins.reports.style import ACCENT, BAD, INK, MUTED, new_figure, plain_axis, round_ticks
from rerank_plugins.reports.table import Entry, Row, Table
from rerank_plugins.system.files import made_folder, write_atomically

__all__ = ["front_figure", "write_tuning_report"]

_TITLE = "Cascade: tuned under a time budget"


@checked_call()
def write_tuning_report(tuning: Tuning, folder: str | Path) -> Path:
    """Write ``tuning.html``, which needs no other file, and ``tuning.json``; return the page's path.

    Raises:
        InvalidInputError: The folder cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    place = made_folder(Path(folder))
    page = html_report(_sections(tuning), title=_TITLE, environment=tuning.environment)
    write_atomically(place / "tuning.json", tuning.to_json().encode())
    write_atomically(place / "tuning.html", visible(page).encode())
    return place / "tuning.html"


@checked_call()
def front_figure(tuning: Tuning) -> Any:
    """Return the picture of the front: quality against milliseconds, on the queries that chose and on the others.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure(width=7.2, height=4.6)
    axis = figure.subplots()
    plain_axis(axis, x="mean time of a query, all stages, ms (logarithmic)", y=tuning.measure)
    axis.set_xscale("log")
    front = tuning.front
    axis.step(
        [one.tuned.ms for one in front],
        [one.tuned.quality.value for one in front],
        where="post",
        color=ACCENT,
        marker="o",
        label=f"front, chosen on {tuning.n_tuned} queries",
    )
    axis.plot(
        [one.held_out.ms for one in front],
        [one.held_out.quality.value for one in front],
        "s",
        color=BAD,
        markersize=5,
        label=f"the same cascades on {tuning.n_held_out} held-out queries",
    )
    for one, shape, label in ((tuning.recommended, "o", "recommended"), (tuning.reference, "D", "best stage alone")):
        axis.plot(
            one.tuned.ms,
            one.tuned.quality.value,
            shape,
            markersize=13,
            markerfacecolor="none",
            markeredgecolor=INK,
            linestyle="",
            label=label,
        )
    axis.axvline(tuning.budget_ms, color=MUTED, linestyle="--", label=f"budget, {tuning.budget_ms:g} ms")
    axis.margins(0.08)
    round_ticks(axis)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, labelcolor=INK, fontsize=9)
    return figure


def _sections(tuning: Tuning) -> list[Section]:
    picture = Picture(name="front", alt="Quality against milliseconds a query", draw=lambda: front_figure(tuning))
    return [
        Section(title="Recommended", text=tuning.recommended.name, remarks=_remarks(tuning)),
        Section(
            title="Pareto front",
            text=(
                f"No cascade of the {tuning.n_tried:,} that were tried is both faster and better than one of these, on "
                "the queries that chose. Held-out queries had no say."
            ),
            tables=(_front_table(tuning),),
            picture=picture,
        ),
        Section(title="Stages alone", tables=(_stage_table(tuning),)),
    ]


def _remarks(tuning: Tuning) -> tuple[str, ...]:
    best, whole, compared = tuning.recommended.held_out, tuning.reference.held_out, tuning.comparison
    spent = f"{best.ms:.3g} ms (95th percentile {best.p95_ms:.3g} ms)"
    verdict = "a difference" if compared.p_value < SIGNIFICANCE else "no difference that the test can tell from chance"
    return (
        f"Held-out queries ({tuning.n_held_out}): {tuning.measure} {best.quality.value:.4f} in {spent} a query.",
        f"Best stage alone on all candidates, {tuning.reference.name}: {whole.quality.value:.4f} in {whole.ms:.3g} ms.",
        f"Difference {compared.difference:+.4f}, p = {compared.p_value:.3g} (paired randomisation test): {verdict}.",
        f"Budget: {tuning.budget_ms:g} ms a query on average, without the retrieval of the candidates.",
    )


def _front_table(tuning: Tuning) -> Table:
    columns = (f"{tuning.measure}, chosen on", "ms", f"{tuning.measure}, held out", "ms held out", "p95 ms held out")
    rows = tuple(_front_row(one, is_best=one == tuning.recommended) for one in tuning.front)
    return Table(title=tuning.dataset, note="Bold: recommended under the budget.", columns=columns, rows=rows)


def _front_row(one: CascadePoint, *, is_best: bool) -> Row:
    tuned, held_out = one.tuned, one.held_out
    texts = (
        f"{tuned.quality.value:.4f}",
        f"{tuned.ms:.3g}",
        f"{held_out.quality.value:.4f}",
        f"{held_out.ms:.3g}",
        f"{held_out.p95_ms:.3g}",
    )
    return Row(one.name, tuple(Entry(text, is_best=is_best) for text in texts))


def _stage_table(tuning: Tuning) -> Table:
    rows = tuple(_stage_row(one) for one in tuning.costs)
    note = "Each over all candidates of all queries. Listwise stages are tried only where they read all candidates."
    columns = (tuning.measure, "ms a pair", "pairs", "listwise")
    return Table(title=tuning.dataset, note=note, columns=columns, rows=rows)


def _stage_row(one: StageCost) -> Row:
    texts = (f"{one.quality:.4f}", f"{one.ms_a_pair:.3g}", f"{one.n_pairs:,}", "yes" if one.is_listwise else "no")
    return Row(one.name, tuple(Entry(text) for text in texts))
