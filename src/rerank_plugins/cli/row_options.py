"""The options of commands that go through training data row by row and go on after a break, written once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

__all__ = ["RowOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOptions:
    """How the data are read, and the run goes on."""

    format_name: Annotated[str | None, typer.Option("--format", metavar="NAME", help="Format of the data.")] = None
    restart: Annotated[bool, typer.Option("--restart", help="Throw an earlier run's output away.")] = False
