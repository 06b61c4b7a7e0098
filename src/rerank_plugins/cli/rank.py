"""``rerank-plugins rank``: ranks the lines of a file for a query."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from rerank_plugins.cli.model_options import CalibratedModelOptions, ModelName
from rerank_plugins.cli.option_groups import takes_groups
from rerank_plugins.cli.output import can_print_any
from rerank_plugins.cli.pairs_file import standard_input
from rerank_plugins.display.terminal import Screen, json_text
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import RankedDocument

__all__ = ["rank"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SelectionOptions:
    """Which documents are shown."""

    top_n: Annotated[int | None, typer.Option(help="Documents shown at most; all by default.")] = None
    threshold: Annotated[float | None, typer.Option(help="Leave out documents below it.")] = None
    threshold_unit: Annotated[str, typer.Option(help="What that is: probability or raw.")] = "probability"


@takes_groups
def rank(
    documents: Annotated[Path, typer.Argument(help="Text file with one document per line; - reads stdin.")],
    *,
    query: Annotated[str, typer.Option("--query", "-q", help="The question.")],
    model: ModelName = "mini",
    shown: _SelectionOptions,
    options: CalibratedModelOptions,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Rank the lines of a file by how well they answer a query.

    The index is the line's number from 0; blank lines keep theirs and rank last.
    """
    from rerank_plugins.ranking.results import Selection

    selection = Selection.checked(
        top_n=shown.top_n,
        threshold=shown.threshold,
        unit=shown.threshold_unit,  # type: ignore[arg-type]
    )
    lines = read_lines(documents)
    with options.open(model) as reranker:
        ranked = reranker.rank(
            query, lines, top_n=selection.top_n, threshold=selection.threshold, threshold_unit=selection.unit
        )
        # A backend of texts has no numbers of its own, and may not say where it runs.
        place = " on ".join(filter(None, (reranker.dtype, reranker.device)))
        used = f"{reranker.model}, {place}" if place else reranker.model
    console = Screen()
    if as_json:
        typer.echo(json_text([asdict(one) for one in ranked], only_ascii=not can_print_any(console), indent=2))
        return
    console.print(_table(ranked))
    console.print(f"{len(ranked)} of {len(lines)} documents; {used}", style="dim")


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file, or of stdin for ``-``, blank ones included.

    Only line feeds end a line; a last one ends the file and is not a document.

    Raises:
        InvalidInputError: It cannot be read, or is not UTF-8.
    """
    name = "stdin" if str(path) == "-" else repr(str(path))
    try:
        data = standard_input().read() if str(path) == "-" else path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        msg = f"documents {name} cannot be read ({error.strerror}); give a text file, or - for stdin"
        raise InvalidInputError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"documents {name} are not UTF-8 (byte {error.start}); convert them, for example with iconv"
        raise InvalidInputError(msg) from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def _table(ranked: list[RankedDocument]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("rank", "index", "probability", "score"):
        table.add_column(heading, justify="right")
    table.add_column("document")
    for one in ranked:
        row = (str(one.rank), str(one.index), f"{one.probability:.4f}", f"{one.score:.4f}")
        table.add_row(*row, one.document or "")
    return table
