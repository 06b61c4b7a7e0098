"""The options of commands that run a job in blocks, written once, and the run itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rerank_plugins.display.terminal import Screen
from rerank_plugins.errors import InvalidInputError

if TYPE_CHECKING:
    from rerank_plugins.bulk import BlockDone
    from rerank_plugins.bulk.tasks import BulkTask

__all__ = [
    "Actors",
    "BlockRows",
    "Cpus",
    "Gpus",
    "JobOptions",
    "Keep",
    "OnRay",
    "PartFormatName",
    "RayAddress",
    "refuse_without",
]

OnRay = Annotated[bool, typer.Option("--ray", help="Run in blocks on a Ray cluster; the output is a folder.")]
RayAddress = Annotated[str | None, typer.Option(help="Ray cluster; the one of this machine, or a new one, by default.")]
Actors = Annotated[int, typer.Option(help="With --ray: processes, each with a model of its own.")]
Cpus = Annotated[float, typer.Option(help="With --ray: cores of each.")]
Gpus = Annotated[float, typer.Option(help="With --ray: share of a GPU of each.")]
BlockRows = Annotated[int, typer.Option(help="Rows of a block, which is what a kill loses.")]
Keep = Annotated[list[str] | None, typer.Option(help="Column that is copied to the output; may be repeated.")]
PartFormatName = Annotated[str, typer.Option(help="Format of the output's parts: parquet or jsonl.")]


def refuse_without(missing: str, command: Callable[..., object], **options: Any) -> None:
    """Refuse options that count only with another one: they would do nothing.

    Args:
        missing: The other option, with its dashes.
        command: Whose options they are; its signature has their defaults.
        **options: What they are set to.

    Raises:
        InvalidInputError: One is not at its default.
    """
    parameters = signature(command).parameters
    for name, value in options.items():
        if value != parameters[name].default:
            written = f"--{name.replace('_', '-')} {value}"
            msg = f"{written} does nothing without {missing}: pass {missing} too, or leave it out"
            raise InvalidInputError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """How a job runs: ``ray`` and the four options that only count with it, the blocks, and whether to begin again."""

    ray: bool
    ray_address: str | None
    actors: int
    cpus: float
    gpus: float
    rows_per_block: int
    part_format: str
    restart: bool

    def run(self, task: BulkTask, inputs: tuple[Path, ...], output: Path) -> None:
        """Run what is left of a job, with a bar on a terminal.

        Raises:
            RerankPluginsError: An option cannot work, a file cannot be read, the model cannot be opened, or a block
                cannot be run.
        """
        from rerank_plugins.bulk import BulkJob, RayPool, run_job
        from rerank_plugins.cli.quiet import quiet_loading

        part_format: Any = self.part_format
        job = BulkJob(
            task=task, inputs=inputs, output=output, part_format=part_format, rows_per_block=self.rows_per_block
        )
        pool = (
            RayPool(actors=self.actors, cpus=self.cpus, gpus=self.gpus, address=self.ray_address) if self.ray else None
        )
        quiet_loading()
        screen = Screen(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with (
            job.opened(restart=self.restart) as folder,
            Progress(*columns, console=screen, disable=not screen.is_terminal) as bar,
        ):
            total = sum(block.n_rows for block in folder.blocks)
            left = sum(block.n_rows for block in folder.pending())
            shown = bar.add_task("rows", total=total, completed=total - left)

            def show_block(done: BlockDone) -> None:
                bar.advance(shown, done.n_rows)

            run_job(folder, ray=pool, on_block=show_block)
        screen.print(f"{left} rows done, {total - left} were there; {output / 'parts'}")
