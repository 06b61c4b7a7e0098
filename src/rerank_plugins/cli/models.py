"""``rerank-plugins models``: lists the catalog."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from rerank_plugins.catalog import ModelKind, ModelSpec, known_models
from rerank_plugins.catalog.speed import gflop_per_token, shape_of, speed_of
from rerank_plugins.cli.output import can_print_any, table_console
from rerank_plugins.display.terminal import json_text
from rerank_plugins.errors import InvalidInputError

__all__ = ["models", "reference_of"]

_FULL_WIDTH = 160
"""Columns from which on no cell of the whole table is cut off."""

_CAPTIONS: dict[ModelKind, str] = {
    "reranker": (
        "A logit is any number; its sigmoid is the probability that results also carry. Where it says cosine, a score "
        "is a sum of them."
    ),
    "embedder": "Vectors are compared by cosine, in [-1, 1].",
}


def models(
    *,
    kind: Annotated[str | None, typer.Option(help="Only 'reranker' or only 'embedder'.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """List the models that are known by name; any other cross-encoder works by its hub id or folder."""
    if kind not in (None, "reranker", "embedder"):
        msg = f"--kind must be 'reranker' or 'embedder', got {kind!r}"
        raise InvalidInputError(msg)
    specs = [spec for spec in known_models().values() if kind in (None, spec.kind)]
    console = table_console()
    if as_json:
        entries = [_as_json(spec) for spec in specs]
        typer.echo(json_text(entries, only_ascii=not can_print_any(console), indent=2))
        return
    kinds: tuple[ModelKind, ...] = ("reranker", "embedder")
    for one in kinds:
        listed = [spec for spec in specs if spec.kind == one]
        if listed:
            console.print(_table(one, listed) if console.width >= _FULL_WIDTH else _narrow_table(one, listed))


def reference_of(spec: ModelSpec) -> str:
    """Return what a model's numbers are compared with in the tests."""
    return spec.reference or "?"


def _table(kind: ModelKind, specs: list[ModelSpec]) -> Table:
    table = Table(title=f"{kind.capitalize()}s", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.caption, table.caption_justify = _CAPTIONS[kind], "left"
    table.add_column("id", no_wrap=True)
    table.add_column("family")
    table.add_column("tokens", justify="right")
    if kind == "embedder":
        table.add_column("dims", justify="right")
    table.add_column("languages")
    table.add_column("licence")
    if kind == "reranker":
        table.add_column("scores")
    table.add_column("parity tested with")
    for spec in specs:
        cells = [spec.id, spec.family, _tokens(spec)]
        if kind == "embedder":
            cells.append(str(spec.dimensions or "its own"))
        cells += [", ".join(spec.languages) or "?", spec.license]
        table.add_row(*cells, *([_scores(spec)] if kind == "reranker" else []), reference_of(spec))
    return table


def _narrow_table(kind: ModelKind, specs: list[ModelSpec]) -> Table:
    """Return a table with the most important columns, for a narrow terminal."""
    table = Table(title=f"{kind.capitalize()}s", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.caption, table.caption_justify = f"--json, or a terminal of {_FULL_WIDTH} columns, shows the rest.", "left"
    table.add_column("id", no_wrap=True)
    table.add_column("parity tested with", overflow="fold")
    for spec in specs:
        table.add_row(spec.id, reference_of(spec))
    return table


def _tokens(spec: ModelSpec) -> str:
    default, most = spec.default_max_length_tokens, spec.max_length_tokens
    return str(default) if default == most else f"{default} (to {most})"


def _scores(spec: ModelSpec) -> str:
    return spec.score_scale if spec.kind == "reranker" else "cosine"


def _as_json(spec: ModelSpec) -> dict[str, Any]:
    shape = shape_of(spec)
    return {
        "id": spec.id,
        "kind": spec.kind,
        "family": spec.family,
        "default_max_length_tokens": spec.default_max_length_tokens,
        "max_length_tokens": spec.max_length_tokens,
        "dimensions": spec.dimensions,
        "matryoshka_from": spec.matryoshka_from,
        "languages": list(spec.languages),
        "license": spec.license,
        "score": _scores(spec),
        "tasks": list(spec.instructions),
        "revision": spec.revision,
        "parameters": None if shape is None else shape.parameters,
        "gflop_per_token": gflop_per_token(spec),
        "speed": speed_of(spec),
        "parity": spec.reference or None,
        "notes": spec.notes,
    }
