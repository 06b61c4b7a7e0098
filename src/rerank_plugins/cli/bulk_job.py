"""The options of commands that run a job in blocks, written once, and the run itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rerank_plugins.cli.progress import rows_progress
from rerank_plugins.display.terminal import Screen

if TYPE_CHECKING:
    from rerank_plugins.bulk import BlockDone
    from rerank_plugins.bulk.tasks import BulkTask

__all__ = ["BlockOptions", "Cpus", "Gpus", "RayAddress", "RayJobOptions", "run_in_blocks"]

RayAddress = Annotated[str | None, typer.Option(help="Ray cluster; the one of this machine, or a new one, by default.")]
Cpus = Annotated[float, typer.Option(help="With --ray: cores of each.")]
Gpus = Annotated[float, typer.Option(help="With --ray: share of a GPU of each.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RayJobOptions:
    """Whether a job runs on a Ray cluster, and the options that only count if so."""

    ray: Annotated[bool, typer.Option("--ray", help="Run in blocks on a Ray cluster; the output is a folder.")] = False
    ray_address: RayAddress = None
    actors: Annotated[int, typer.Option(help="With --ray: processes, each with a model of its own.")] = 1
    cpus: Cpus = 1.0
    gpus: Gpus = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockOptions:
    """What a job in blocks writes, and how much at a time."""

    keep: Annotated[list[str] | None, typer.Option(help="Column that is copied to the output; may be repeated.")] = None
    part_format: Annotated[str, typer.Option(help="Format of the output's parts: parquet or jsonl.")] = "parquet"
    rows_per_block: Annotated[int, typer.Option(help="Rows of a block, which is what a kill loses.")] = 4_096


def run_in_blocks(
    task: BulkTask, inputs: tuple[Path, ...], output: Path, *, blocks: BlockOptions, ray: RayJobOptions, restart: bool
) -> None:
    """Run what is left of a job, with a bar on a terminal.

    Args:
        task: What is done with the rows.
        inputs: Where they are.
        output: Folder of the job.
        blocks: What is written.
        ray: Where it runs.
        restart: Whether what is there is removed first.

    Raises:
        RerankPluginsError: An option cannot work, a file cannot be read, the model cannot be opened, or a block cannot
            be run.
    """
    from rerank_plugins.bulk import BulkJob, RayPool, run_job
    from rerank_plugins.cli.quiet import quiet_loading

    part_format: Any = blocks.part_format
    job = BulkJob(
        task=task, inputs=inputs, output=output, part_format=part_format, rows_per_block=blocks.rows_per_block
    )
    pool = RayPool(actors=ray.actors, cpus=ray.cpus, gpus=ray.gpus, address=ray.ray_address) if ray.ray else None
    quiet_loading()
    screen = Screen(stderr=True)
    with job.opened(restart=restart) as folder, rows_progress() as on_row:
        total = sum(block.n_rows for block in folder.blocks)
        left = sum(block.n_rows for block in folder.pending())
        n_done = total - left

        def show_block(done: BlockDone) -> None:
            nonlocal n_done
            n_done += done.n_rows
            on_row(n_done, total)

        run_job(folder, ray=pool, on_block=show_block)
    screen.print(f"{left} rows done, {total - left} were there; {output / 'parts'}")
