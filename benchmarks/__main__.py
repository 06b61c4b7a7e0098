"""``python -m benchmarks``: measure, print, write JSON."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

# Nothing is downloaded; huggingface_hub reads this once, when it is first imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ.setdefault("TQDM_DISABLE", "1")

import torch
import transformers
import typer
from rich.console import Console

from benchmarks.cases import CASES
from benchmarks.context import EFFORTS, Context
from benchmarks.environment import available_cores, describe
from benchmarks.results import RunRecord, write_record
from benchmarks.tables import case_tables, verdict_table

__all__ = ["main"]

_SKIPPED_UNLESS_FULL = ("bert-base",)
CaseName = Enum("CaseName", {name: name for name in CASES})  # type: ignore[misc]


def main(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Small requests, one round: does everything run?")] = False,
    full: Annotated[bool, typer.Option("--full", help="Many rounds, all shapes, a million streamed pairs.")] = False,
    only: Annotated[list[CaseName] | None, typer.Option(help="Run this case; repeat it for several.")] = None,
    stream_pairs: Annotated[int | None, typer.Option(min=1, help="Pairs of the streaming case.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of every system; default: all cores.")] = None,
    out: Annotated[Path, typer.Option(help="Where the JSON goes.")] = Path("benchmarks/results/cpu.json"),
    work: Annotated[Path | None, typer.Option(help="Keeps checkpoints between runs; default: a fresh folder.")] = None,
) -> None:
    """Measure this project beside its peers on the CPU."""
    console = Console(width=None if Console().is_terminal else 150)
    effort = EFFORTS["quick" if quick else "full" if full else "usual"]
    if stream_pairs is not None:
        effort = replace(effort, stream_pairs=stream_pairs)
    names = (
        [one.value for one in only]
        if only
        else [name for name in CASES if effort.both_base_shapes or name not in _SKIPPED_UNLESS_FULL]
    )
    n_threads = threads or available_cores()
    torch.set_num_threads(n_threads)
    _be_quiet()
    environment = describe(threads=n_threads)
    console.print_json(data=environment)
    root = work or Path(tempfile.mkdtemp(prefix="rerank-plugins-benchmarks-"))
    context = Context(
        effort=effort, root=root, threads=n_threads, tell=lambda line: console.print(f"[dim]{line}[/dim]")
    )
    results = []
    options = {"effort": effort.name, "cases": names, "stream_pairs": effort.stream_pairs}
    try:
        for name in names:
            console.rule(f"{name}: {CASES[name].title}")
            results.append(CASES[name].run(context))
            console.print(case_tables(results[-1]))
            # Written after every case: a run that is interrupted leaves what it measured.
            record = RunRecord(environment=environment, options=options, cases=tuple(results))
            write_record(record, out)
    finally:
        if work is None:
            shutil.rmtree(root, ignore_errors=True)
    console.rule("all targets")
    console.print(verdict_table(record.verdicts))
    if effort.name == "quick":
        console.print("--quick: one round of smaller requests than the targets'; these verdicts are no result")
    console.print(f"written to {out}")


def _be_quiet() -> None:
    """Keep progress bars and loading notes of the peers out of the tables."""
    notes: Any = transformers.logging
    notes.set_verbosity_error()
    notes.disable_progress_bar()
    for name in ("sentence_transformers", "BCEmbedding", "FlagEmbedding", "flashrank", "openvino"):
        logging.getLogger(name).setLevel(logging.ERROR)


if __name__ == "__main__":
    typer.run(main)
