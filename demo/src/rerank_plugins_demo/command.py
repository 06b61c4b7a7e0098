"""``rerank-plugins demo``: see it work on real data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rerank_plugins.display.terminal import Screen

__all__ = ["demo"]


def demo(
    *,
    model: Annotated[str, typer.Option("--model", "-m", help="Reranker: hub id, local folder, or mini.")] = "mini",
    embedder: Annotated[str, typer.Option(help="Embedder: hub id, local folder, or mini.")] = "mini",
    top_k: Annotated[int, typer.Option(help="Documents retrieved, then reranked.")] = 20,
    max_queries: Annotated[int, typer.Option(min=0, help="Questions per set; 0 takes all.")] = 30,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, mps; the best by default.")] = None,
    language: Annotated[str | None, typer.Option(help="en or zh: that part of the sample alone.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the picture and figures.")] = Path("demo-output"),
) -> None:
    """Retrieve and rerank bundled real data in LlamaIndex and LangChain: before, after, figures, a picture."""
    from rerank_plugins.cli.quiet import quiet_loading
    from rerank_plugins_demo import DemoOptions, run_demo

    quiet_loading()
    options = DemoOptions(
        model=model,
        embedder=embedder,
        top_k=top_k,
        output=output,
        max_queries=max_queries or None,
        device=device,
        language=language,
    )
    run_demo(options, Screen())
