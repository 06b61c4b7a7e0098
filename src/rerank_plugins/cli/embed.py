"""``rerank-plugins embed``: vectors of the texts of files, in blocks, here or on a Ray cluster; resumes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from rerank_plugins.cli.bulk_job import BlockOptions, RayJobOptions, run_in_blocks
from rerank_plugins.cli.model_options import Device, Dtype, MaxLength
from rerank_plugins.cli.option_groups import refuse_without, takes_groups
from rerank_plugins.types import InstructionOptions

__all__ = ["embed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _EmbedderOptions:
    """What embeds, and where it runs."""

    model: Annotated[str, typer.Option("--model", "-m", help="Hub id, local folder, mini or mini-zh.")] = "mini"
    instruction: Annotated[str | None, typer.Option(help="Task of the instruction; the model's usual one.")] = None
    device: Device = None
    dtype: Dtype = "auto"
    max_length: MaxLength = None

    @property
    def given(self) -> dict[str, Any]:
        """The options of an embedder that are not left to it."""
        task = None if self.instruction is None else InstructionOptions(task=self.instruction)
        own = {"device": self.device, "dtype": self.dtype, "max_length": self.max_length, "instruction": task}
        return {name: value for name, value in own.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class _TextOptions:
    """What is embedded."""

    text: Annotated[str, typer.Option(help="Column of the texts.")] = "text"
    queries: Annotated[bool, typer.Option("--queries", help="The texts are queries, not documents.")] = False


@takes_groups
def embed(
    inputs: Annotated[
        list[Path], typer.Argument(help="JSON lines or Parquet: files, or folders with their subfolders.")
    ],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the vectors; a job of its own.")],
    embedder: _EmbedderOptions,
    texts: _TextOptions,
    blocks: BlockOptions,
    restart: Annotated[bool, typer.Option("--restart", help="Remove what is there, and embed everything.")] = False,
    ray: RayJobOptions,
) -> None:
    """Embed the texts of files that may be larger than memory; a run that was stopped goes on where it was.

    The output is a folder of parts in the order of the input: the kept columns and "embedding".
    """
    from rerank_plugins.bulk import EmbedTask

    if not ray.ray:
        refuse_without("--ray", ray)
    task = EmbedTask(
        model=embedder.model,
        options=embedder.given,
        text=texts.text,
        side="query" if texts.queries else "document",
        keep=tuple(blocks.keep or ()),
    )
    run_in_blocks(task, tuple(inputs), output, blocks=blocks, ray=ray, restart=restart)
