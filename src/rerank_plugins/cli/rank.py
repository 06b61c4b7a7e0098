"""``rerank-plugins rank``: order the lines of a file for a query."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rerank_plugins.cli.output import can_print_any
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import LayerOptions, RankedDocument

__all__ = ["rank"]


def rank(
    documents: Annotated[Path, typer.Argument(help="Text file with one document per line; - reads stdin.")],
    *,
    query: Annotated[str, typer.Option("--query", "-q", help="The question.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Hub id, local folder, or mini.")] = "mini",
    top_n: Annotated[int | None, typer.Option(help="Documents shown at most; all by default.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Leave out lower probabilities.")] = None,
    prompt: Annotated[
        str | None, typer.Option(help="Instruction of an LLM reranker; the model's own by default.")
    ] = None,
    cutoff_layers: Annotated[
        str | None, typer.Option(metavar="N", help="Layer of a layerwise LLM reranker, for example 28.")
    ] = None,
    compress_ratio: Annotated[
        int | None, typer.Option(help="Tokens of a document that become one: 1, 2, 4 or 8 (lightweight LLM reranker).")
    ] = None,
    compress_layers: Annotated[
        str | None, typer.Option(metavar="N,N", help="Layers in front of which that happens, for example 24,40.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps; the best by default.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Rank the lines of a file by how well they answer a query.

    The index is the line's number from 0; blank lines keep theirs and rank last.
    """
    from rerank_plugins.cli.quiet import quiet_loading
    from rerank_plugins.reranker import Reranker

    layers = LayerOptions(
        cutoff_layers=_numbers("--cutoff-layers", cutoff_layers),
        compress_ratio=compress_ratio,
        compress_layers=_numbers("--compress-layers", compress_layers),
    )
    lines = read_lines(documents)
    quiet_loading()
    with Reranker(model, device=device, prompt=prompt, layers=layers) as reranker:
        ranked = reranker.rank(query, lines, top_n=top_n, threshold=threshold)
        used = f"{reranker.model}, {reranker.dtype} on {reranker.device}"
    console = Console()
    if as_json:
        console.print_json(data=[asdict(one) for one in ranked], ensure_ascii=not can_print_any(console))
        return
    console.print(_table(ranked))
    console.print(f"{len(ranked)} of {len(lines)} documents; {used}", style="dim", markup=False, highlight=False)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 file, or of stdin for ``-``, blank ones included.

    Only line feeds end a line; a last one ends the file and is not a document.

    Raises:
        InvalidInputError: It cannot be read, or is not UTF-8.
    """
    name = "stdin" if str(path) == "-" else repr(str(path))
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        msg = f"documents {name} cannot be read ({error.strerror}); give a text file, or - for stdin"
        raise InvalidInputError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"documents {name} are not UTF-8 (byte {error.start}); convert them, for example with iconv"
        raise InvalidInputError(msg) from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def _numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    """Return the layers of a list such as ``24,40``; None if the option was not given."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        msg = f"{option} must be layer numbers separated by commas, such as 24,40; got {text!r}"
        raise InvalidInputError(msg)
    return tuple(int(part) for part in parts)


def _table(ranked: list[RankedDocument]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("rank", "index", "probability", "score"):
        table.add_column(heading, justify="right")
    table.add_column("document")
    for one in ranked:
        row = (str(one.rank), str(one.index), f"{one.probability:.4f}", f"{one.score:.4f}")
        table.add_row(*row, Text(one.document or ""))
    return table
