"""The command-line application: its commands and the handling of errors.

This module does not import torch; a command imports what it needs when it runs.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from typing import Annotated, Any

import typer

from rerank_plugins import __version__
from rerank_plugins.cli.calibrate import calibrate
from rerank_plugins.cli.data import data
from rerank_plugins.cli.doctor import doctor
from rerank_plugins.cli.embed import embed
from rerank_plugins.cli.evaluate import evaluate
from rerank_plugins.cli.export import export
from rerank_plugins.cli.installed import add_commands
from rerank_plugins.cli.label import label
from rerank_plugins.cli.merge import merge
from rerank_plugins.cli.mine import mine
from rerank_plugins.cli.models import models
from rerank_plugins.cli.output import fail, tolerate_encodings
from rerank_plugins.cli.rank import rank
from rerank_plugins.cli.report import report
from rerank_plugins.cli.score import score
from rerank_plugins.cli.serve import serve
from rerank_plugins.cli.training import train
from rerank_plugins.cli.tune import tune
from rerank_plugins.display.terminal import Screen, visible
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
app.command()(embed)
app.command()(serve)
app.command()(doctor)
app.command()(evaluate)
app.command()(tune)
app.command()(report)
app.add_typer(data)
app.add_typer(train)
app.command()(mine)
app.command()(label)
app.command()(merge)
app.command()(export)
add_commands(app)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer's own signature
    if wanted:
        Screen().print(f"rerank-plugins {__version__}")
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
    """Run the command line. An error is one message on stderr and exit status 2 (or 1)."""
    tolerate_encodings()
    sys.exit(_run())


def _run() -> int:
    """Return the exit status: 0, 2 for an error that the user can act on, 1 if the reader of the output has gone."""
    try:
        status = app(standalone_mode=False)
        if sys.stdout is not None:  # a process may be started without one
            sys.stdout.flush()
    except RerankPluginsError as error:
        return fail(str(error))
    except _UsageProblem as error:
        return _refuse(error)
    except typer.Abort:
        return fail("stopped")
    except OSError as error:
        return _lost_output(error)
    return status if isinstance(status, int) else 0


# Click's class, of which later versions of typer carry a copy: the base of all errors about arguments.
_UsageProblem: Any = next(one for one in typer.BadParameter.__mro__ if one.__name__ == "ClickException")


def _refuse(error: Any) -> int:
    """Show an error in the arguments as typer does, with control characters escaped."""
    from typer.rich_utils import rich_format_error

    error.message = visible(str(error.message))
    rich_format_error(error)
    return int(error.exit_code)


def _lost_output(error: OSError) -> int:
    """Report a file or an output that fails. A reader that has gone (``| head``) is not reported as an error."""
    # Output that is still buffered for stdout must not fail again when the interpreter ends.
    if error.filename is None and sys.stdout is not None:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:
        return 1
    place = f"{str(error.filename)!r}" if error.filename is not None else "the output"
    return fail(f"{place} cannot be read or written ({error.strerror or error})")
