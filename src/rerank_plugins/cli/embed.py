"""``rerank-plugins embed``: vectors of the texts of files, in blocks, here or on a Ray cluster; resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rerank_plugins.cli.bulk_job import (
    Actors,
    BlockRows,
    Cpus,
    Gpus,
    JobOptions,
    Keep,
    OnRay,
    PartFormatName,
    RayAddress,
    refuse_without,
)
from rerank_plugins.cli.model_options import Device, Dtype, MaxLength

__all__ = ["embed"]


def embed(
    inputs: Annotated[
        list[Path], typer.Argument(help="JSON lines or Parquet: files, or folders with their subfolders.")
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the vectors; a job of its own.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Hub id, local folder, mini or mini-zh.")] = "mini",
    text: Annotated[str, typer.Option(help="Column of the texts.")] = "text",
    queries: Annotated[bool, typer.Option("--queries", help="The texts are queries, not documents.")] = False,
    instruction: Annotated[str | None, typer.Option(help="Task of the instruction; the model's usual one.")] = None,
    device: Device = None,
    dtype: Dtype = "auto",
    max_length: MaxLength = None,
    keep: Keep = None,
    part_format: PartFormatName = "parquet",
    rows_per_block: BlockRows = 4_096,
    restart: Annotated[bool, typer.Option("--restart", help="Remove what is there, and embed everything.")] = False,
    ray: OnRay = False,
    ray_address: RayAddress = None,
    actors: Actors = 1,
    cpus: Cpus = 1.0,
    gpus: Gpus = 0.0,
) -> None:
    """Embed the texts of files that may be larger than memory; a run that was stopped goes on where it was.

    The output is a folder of parts in the order of the input: the kept columns and "embedding".
    """
    from rerank_plugins.bulk import EmbedTask

    if not ray:
        refuse_without("--ray", embed, ray_address=ray_address, actors=actors, cpus=cpus, gpus=gpus)
    settings = {"device": device, "dtype": dtype, "max_length": max_length, "instruction": instruction}
    options: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    task = EmbedTask(
        model=model, options=options, text=text, side="query" if queries else "document", keep=tuple(keep or ())
    )
    job = JobOptions(
        ray=ray,
        ray_address=ray_address,
        actors=actors,
        cpus=cpus,
        gpus=gpus,
        rows_per_block=rows_per_block,
        part_format=part_format,
        restart=restart,
    )
    job.run(task, tuple(inputs), output)
