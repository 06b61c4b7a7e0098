"""``rerank-plugins score``: score a file of pairs into another, in flat memory, and go on after a break."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rerank_plugins.cli.output import check_output
from rerank_plugins.errors import InvalidInputError

__all__ = ["score"]

_JOB_SUFFIX = ".job.json"


def score(
    pairs: Annotated[Path, typer.Argument(help='JSON lines: {"query": ..., "document": ...} each.')],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON lines with a score each, in the same order.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Hub id, local folder, or mini.")] = "mini",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:all, mps; the best by default.")] = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, float16 or bfloat16.")] = "auto",
    max_length: Annotated[int | None, typer.Option(help="Tokens of an input; the model's default.")] = None,
    long_documents: Annotated[str, typer.Option(help="truncate, maxp, firstp, meanp, topkmean.")] = "truncate",
    restart: Annotated[bool, typer.Option("--restart", help="Score everything again.")] = False,
) -> None:
    """Score a file of pairs; a run that was stopped goes on where it was.

    Each output line holds "score" and "probability" of the pair on the same line of the input. A small file beside the
    output says what was asked; another model or other options are refused until --restart.
    """
    from rerank_plugins.cli.quiet import quiet_loading
    from rerank_plugins.ranking.order import to_probability
    from rerank_plugins.reranker import Reranker

    total = _count_lines(pairs)
    check_output(output, data=pairs)
    job = {"pairs": str(pairs), "bytes": pairs.stat().st_size, "model": model, "dtype": dtype}
    job |= {"max_length": max_length, "long_documents": long_documents}
    done = 0 if restart else _finished(output, job)
    quiet_loading()
    reranker = Reranker(model, device=device, dtype=dtype, max_length=max_length, long_documents=long_documents)  # type: ignore[arg-type]
    # Not before the model is there: a misspelt name must not cost the scores of the last run.
    if restart or not done:
        output.write_text("", encoding="utf-8")
    _job_file(output).write_text(json.dumps(job, indent=2) + "\n", encoding="utf-8")
    with reranker, output.open("a", encoding="utf-8") as out, _progress() as bar:
        task = bar.add_task("pairs", total=total, completed=done)
        for value in reranker.score_stream(_read_pairs(pairs, skip=done)):
            probability = to_probability(value, scale=reranker.spec.score_scale)
            out.write(json.dumps({"score": value, "probability": probability}) + "\n")
            bar.advance(task)
    Console(stderr=True).print(f"{total - done} pairs scored, {done} were there", markup=False, highlight=False)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def _job_file(output: Path) -> Path:
    return output.with_name(output.name + _JOB_SUFFIX)


def _finished(output: Path, job: dict[str, Any]) -> int:
    """Return how many pairs have a score already, and cut off a last line that a killed run left incomplete.

    Raises:
        InvalidInputError: The output is another job's.
    """
    if not output.exists() or not output.stat().st_size:
        return 0
    before: object = None
    with suppress(OSError, ValueError):
        before = json.loads(_job_file(output).read_text(encoding="utf-8"))
    if before != job:
        msg = f"{str(output)!r} holds scores of another job ({before}); choose another --output, or pass --restart"
        raise InvalidInputError(msg)
    data = output.read_bytes()
    complete = data[: data.rfind(b"\n") + 1]
    if len(complete) < len(data):
        with output.open("r+b") as file:
            file.truncate(len(complete))
    return complete.count(b"\n")


def _count_lines(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(1 for line in file if line.strip())
    except OSError as error:
        msg = f"pairs {str(path)!r} cannot be read ({error.strerror})"
        raise InvalidInputError(msg) from error


def _read_pairs(path: Path, *, skip: int) -> Iterator[tuple[str, str | None]]:
    with path.open("rb") as file:
        numbered = ((number, line) for number, line in enumerate(file, start=1) if line.strip())
        for number, line in islice(numbered, skip, None):
            try:
                row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                msg = f"{path}, line {number}: not UTF-8 (byte {error.start}); convert it, for example with iconv"
                raise InvalidInputError(msg) from error
            except (json.JSONDecodeError, RecursionError) as error:
                msg = f"{path}, line {number}: not JSON ({error})"
                raise InvalidInputError(msg) from error
            if not isinstance(row, dict) or not {"query", "document"} <= set(row):
                msg = f'{path}, line {number}: expected {{"query": ..., "document": ...}}'
                raise InvalidInputError(msg)
            yield row["query"], row["document"]
