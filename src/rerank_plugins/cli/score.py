"""``rerank-plugins score``: scores pairs of a file or of standard input in constant memory, and resumes for files."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from rerank_plugins.cli.bulk_job import BlockOptions, RayJobOptions, run_in_blocks
from rerank_plugins.cli.model_options import CalibratedModelOptions, ModelName
from rerank_plugins.cli.option_groups import refuse_without, takes_groups
from rerank_plugins.cli.output import check_output
from rerank_plugins.cli.pairs_file import STANDARD_STREAM, PairLines, PairsFile, read_facts
from rerank_plugins.cli.progress import rows_progress
from rerank_plugins.display.terminal import Screen
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import LineFile, write_atomically
from rerank_plugins.system.locks import let_go, lock_file

__all__ = ["score"]

_JOB_SUFFIX = ".job.json"


@takes_groups
def score(
    pairs: Annotated[Path, typer.Argument(help='JSON lines: {"query": ..., "document": ...} each; - reads stdin.')],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="JSON lines with a score each, in the same order; stdout by default.")
    ] = Path(STANDARD_STREAM),
    model: ModelName = "mini",
    options: CalibratedModelOptions,
    restart: Annotated[bool, typer.Option("--restart", help="Score everything again.")] = False,
    ray: RayJobOptions,
    blocks: BlockOptions,
) -> None:
    """Score pairs; a run from file to file that was stopped goes on where it was.

    Each output line holds "score" and "probability" of the pair on the same line of the input. A small file beside the
    output says what was asked; another model or other options are refused until --restart.

    With --ray the pairs may also be Parquet or a folder of files, with its subfolders, and the output is a folder of
    parts in the order of the input, with the kept columns beside the scores.
    """
    if ray.ray:
        if STANDARD_STREAM in (str(pairs), str(output)):
            msg = "with --ray pairs come from files and scores go into a folder; pass --output FOLDER"
            raise InvalidInputError(msg)
        from rerank_plugins.bulk import ScoreTask

        task = ScoreTask(model=model, options=options.reranker_options, keep=tuple(blocks.keep or ()))
        run_in_blocks(task, (pairs,), output, blocks=blocks, ray=ray, restart=restart)
        return
    refuse_without("--ray", ray)
    if blocks.keep:
        msg = f"--keep {blocks.keep[0]} needs --ray: without it, line N of the output belongs to line N of the pairs"
        raise InvalidInputError(msg)
    refuse_without("--ray", blocks)
    if str(output) == STANDARD_STREAM:
        _score_to_stdout(pairs, model, options)
    else:
        _score_to_file(pairs, output, model, options, restart=restart)


def _score_to_stdout(pairs: Path, model: str, options: CalibratedModelOptions) -> None:
    # A process may be started without one; the scores would be computed for nobody.
    out: TextIO | None = sys.stdout
    if out is None:
        msg = "standard output is closed; pass --output FILE"
        raise InvalidInputError(msg)
    facts = read_facts(pairs)
    with options.open(model) as reranker, rows_progress("pairs") as on_pair:
        lines = PairLines(pairs)
        for n_scored, value in enumerate(reranker.score_stream(lines), 1):
            out.write(_line(value, reranker.probability(value)) + "\n")
            on_pair(n_scored, facts.n_pairs)
    out.flush()
    lines.check()


def _score_to_file(pairs: Path, output: Path, model: str, options: CalibratedModelOptions, *, restart: bool) -> None:
    facts = read_facts(pairs)
    check_output(output, data=pairs)
    job = _job(pairs, facts, model, options)
    if not restart:
        _finished(output, job)
    # Only after the model is loaded: a misspelt name must not delete the scores of the last run.
    with options.open(model) as reranker, _locked(output), LineFile(output) as out:
        done = _begin(output, job, restart=restart)
        lines, n_scored = PairLines(pairs, skip=done), 0
        with rows_progress("pairs") as on_pair:
            for value in reranker.score_stream(lines):
                out.write(_line(value, reranker.probability(value)))
                n_scored += 1
                on_pair(done + n_scored, facts.n_pairs)
    Screen(stderr=True).print(f"{n_scored} pairs scored, {done} were there")
    lines.check()


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Keep other runs from writing a file: two that went on at the same place would leave its rest twice."""
    with LineFile(output):
        pass  # it is there now
    lock = lock_file(output) if output.is_file() else None
    try:
        yield
    finally:
        let_go(lock)


def _begin(output: Path, job: dict[str, Any], *, restart: bool) -> int:
    """Cut off what is not kept, write whose the rest is, and return how many scores that are."""
    n_lines, n_bytes = (0, 0) if restart else _finished(output, job)
    if output.is_file():  # a device such as /dev/stdout keeps nothing to go on from
        os.truncate(output, n_bytes)
        write_atomically(_job_file(output), (json.dumps(job, indent=2) + "\n").encode())
    return n_lines


def _line(score: float, probability: float) -> str:
    return json.dumps({"score": score, "probability": probability})


def _job(pairs: Path, facts: PairsFile, model: str, options: CalibratedModelOptions) -> dict[str, Any]:
    """Return what a score depends on. Options that were not passed are left out."""
    from rerank_plugins.bulk.tasks import model_files

    job: dict[str, Any] = {"pairs": str(pairs), "sha256": facts.sha256, "model": model, "dtype": options.dtype}
    job |= {"max_length": options.max_length, "long_documents": options.long_documents}
    later = {"prompt": options.prompt, **options.written_layers, "model_files": model_files(model)}
    if options.calibration is not None:
        later["calibration"] = _digest(options.calibration)
    return job | {name: value for name, value in later.items() if value is not None}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        msg = f"calibration {str(path)!r} could not be read ({getattr(error, 'strerror', None) or error})"
        raise InvalidInputError(msg) from error


def _job_file(output: Path) -> Path:
    return output.with_name(output.name + _JOB_SUFFIX)


def _finished(output: Path, job: dict[str, Any]) -> tuple[int, int]:
    """Return how many whole lines are there already, and their bytes; a killed run may leave a last one incomplete.

    Raises:
        InvalidInputError: The output is another job's, or its pairs came from standard input or a pipe.
    """
    if not output.is_file() or not output.stat().st_size:
        return 0, 0
    before: object = None
    with suppress(OSError, ValueError):
        before = json.loads(_job_file(output).read_text(encoding="utf-8"))
    if before != job:
        msg = f"{str(output)!r} holds scores of another job ({before}); choose another --output, or pass --restart"
        raise InvalidInputError(msg)
    n_lines = n_bytes = 0
    with output.open("rb") as lines:  # one at a time: the scores of a large file are large themselves
        for line in lines:
            if line.endswith(b"\n"):
                n_lines, n_bytes = n_lines + 1, n_bytes + len(line)
    if n_lines and job["sha256"] is None:
        name = "standard input" if job["pairs"] == STANDARD_STREAM else f"the pipe {job['pairs']!r}"
        msg = f"{str(output)!r} has scores already, and {name} cannot go on after a break; pass --restart"
        raise InvalidInputError(msg)
    return n_lines, n_bytes
