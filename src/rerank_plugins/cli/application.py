"""The application: its commands, and what happens to errors.

Nothing here imports torch; a command imports what it needs when it runs.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from rerank_plugins import __version__
from rerank_plugins.cli.calibrate import calibrate
from rerank_plugins.cli.demo import demo
from rerank_plugins.cli.doctor import doctor
from rerank_plugins.cli.evaluate import evaluate
from rerank_plugins.cli.models import models
from rerank_plugins.cli.output import tolerate_encodings
from rerank_plugins.cli.rank import rank
from rerank_plugins.cli.report import report
from rerank_plugins.cli.score import score
from rerank_plugins.errors import RerankPluginsError

__all__ = ["app", "main"]

app = typer.Typer(
    name="rerank-plugins",
    help="Two-stage retrieval for LlamaIndex and LangChain: rerankers and embedders on one shared core.",
    epilog="Start with: rerank-plugins doctor, then rerank-plugins demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(models)
app.command()(rank)
app.command()(calibrate)
app.command()(score)
app.command()(doctor)
app.command()(demo)
app.command()(evaluate)
app.command()(report)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer's own signature
    if wanted:
        Console().print(f"rerank-plugins {__version__}", markup=False, highlight=False)
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Two-stage retrieval for LlamaIndex and LangChain: rerankers and embedders on one shared core."""


def main() -> None:
    """Run the command line; an error of this package is one line on stderr and exit status 2."""
    tolerate_encodings()
    try:
        app()
    except RerankPluginsError as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", markup=False, highlight=False)
        sys.exit(2)
