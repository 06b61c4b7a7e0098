"""``rerank-plugins doctor``: what is installed, what is missing, and how to get it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from rerank_plugins.catalog.hub_settings import check_hub_settings
from rerank_plugins.cli.diagnosis import (
    Finding,
    find_device,
    find_extras,
    find_hub,
    find_models,
    find_plugins,
    find_versions,
)
from rerank_plugins.cli.speed import find_model_speed, find_speed
from rerank_plugins.display.terminal import Screen

__all__ = ["doctor"]

_MARKS = {"ok": ("✔", "green"), "missing": ("✘", "yellow"), "info": ("·", "dim")}


def doctor(
    *,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Open this reranker and report how it runs.")
    ] = None,
) -> None:
    """Show the device, versions, models on this machine, the hub, and what is not installed."""
    # With a broken setting, none of the checks below can run.
    check_hub_settings()
    console = Screen()
    if model is not None:
        from rerank_plugins.cli.quiet import quiet_loading

        quiet_loading()
        console.print(_table(model, find_model_speed(model)))
        return
    sections = (
        ("Device", find_device),
        ("Speed", find_speed),
        ("Versions", find_versions),
        ("Optional parts", find_extras),
        ("Models on this machine", find_models),
        ("Packages that add models", find_plugins),
        ("Hub", find_hub),
    )
    findings: list[Finding] = []
    for title, find in sections:
        found = find()
        findings += found
        if found:
            console.print(_table(title, found))
    ways_out = list(dict.fromkeys(finding.way_out for finding in findings if finding.way_out))
    if not ways_out:
        console.print("Nothing is missing.", style="bold green")
        return
    console.print("To add what is missing:", style="bold")
    for line in ways_out:
        console.print(f"  {line}", soft_wrap=True)


def _table(title: str, findings: list[Finding]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False)
    table.add_column(width=1)
    table.add_column(min_width=26)
    table.add_column(overflow="fold")
    for finding in findings:
        mark, style = _MARKS[finding.state]
        table.add_row(Text(mark, style=style), finding.name, finding.value)
    return table
