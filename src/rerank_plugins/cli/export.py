"""``rerank-plugins export``: a checkpoint as a folder for ONNX Runtime, or in 8-bit rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.display.terminal import Screen

__all__ = ["export"]


def export(
    model: Annotated[str, typer.Argument(help="Hub id, local folder, mini or mini-zh; BERT, RoBERTa or XLM-R.")],
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write; it must not be there.")],
    kind: Annotated[str, typer.Option(help="reranker or embedder.")] = "reranker",
    family: Annotated[str | None, typer.Option(help="Whose conventions a folder follows, where nothing tells.")] = None,
    revision: Annotated[str | None, typer.Option(help="Commit or branch of the hub; the catalog's by default.")] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Weights in 8-bit rows, a quarter; no model.onnx.")] = False,
) -> None:
    """Write model.onnx, its weights and its tokenizer into a folder; torch is not needed.

    Reranker(folder) and Embedder(folder) open it, in torch and in ONNX Runtime. They open the checkpoint itself, too:
    an export is for other programs, and for machines that cannot reach the hub. With --int8 only they open it.
    """
    from rerank_plugins.backends.named import refuse_backend
    from rerank_plugins.catalog.resolve import resolve
    from rerank_plugins.errors import InvalidInputError
    from rerank_plugins.scorers.export import export_model
    from rerank_plugins.types import SourceOptions

    if kind not in ("reranker", "embedder"):
        msg = f"--kind must be reranker or embedder, got {kind!r}"
        raise InvalidInputError(msg)
    options = SourceOptions(family=family, revision=revision)
    wanted: ModelKind = "reranker" if kind == "reranker" else "embedder"
    refuse_backend(model, kind=wanted)
    resolved = resolve(model, kind=wanted, options=options)
    written = export_model(resolved, output, int8=int8)
    size = sum(path.stat().st_size for path in written.rglob("*") if path.is_file())
    parts = "model.safetensors (8-bit rows), tokenizer" if int8 else "model.onnx, model.safetensors, tokenizer"
    Screen().print(f"Saved {written} ({size / 1e6:.0f} MB): {parts}", soft_wrap=True)
    if family is not None and resolve(str(written), kind=wanted).spec.family != resolved.spec.family:
        told = f"Nothing in the folder says whose conventions it follows: open it with family={family!r} too"
        Screen().print(told, soft_wrap=True)
