"""The options of every command that opens a reranker, written once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import LayerOptions

if TYPE_CHECKING:
    from rerank_plugins.reranker import Reranker

__all__ = [
    "CalibrationFile",
    "CompressLayers",
    "CompressRatio",
    "CutoffLayers",
    "Device",
    "Dtype",
    "LongDocumentsName",
    "MaxLength",
    "ModelName",
    "ModelOptions",
    "Prompt",
]

ModelName = Annotated[
    str, typer.Option("--model", "-m", help="Hub id, local folder, mini, or a backend: cohere:NAME, tei:URL.")
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:all, mps; the best by default.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, float16, bfloat16, or int8 (CPUs with AVX-512 VNNI or AMX).")]
MaxLength = Annotated[int | None, typer.Option(help="Tokens of an input; the model's default.")]
LongDocumentsName = Annotated[str, typer.Option("--long-documents", help="truncate, maxp, firstp, meanp, topkmean.")]
Prompt = Annotated[str | None, typer.Option(help="Instruction of an LLM reranker; the model's own by default.")]
CutoffLayers = Annotated[
    str | None, typer.Option(metavar="N", help="Layer of a layerwise LLM reranker, for example 28.")
]
CompressRatio = Annotated[
    int | None, typer.Option(help="Tokens of a document that become one: 1, 2, 4 or 8 (lightweight LLM reranker).")
]
CompressLayers = Annotated[
    str | None, typer.Option(metavar="N,N", help="Layers in front of which that happens, for example 24,40.")
]
CalibrationFile = Annotated[
    Path | None, typer.Option(help="File of rerank-plugins calibrate; probabilities are then its own.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """The options that were passed; ``layers`` holds the three layer options as they were written."""

    model: str
    device: str | None
    dtype: str
    max_length: int | None
    long_documents: str
    prompt: str | None
    layers: Mapping[str, Any]
    calibration: Path | None = None

    def open(self) -> Reranker:
        """Return the reranker.

        Raises:
            InvalidInputError: An option has a value that cannot work.
            ModelError: The model cannot be resolved or loaded.
        """
        from rerank_plugins import Reranker
        from rerank_plugins.cli.quiet import quiet_loading

        options = self.reranker_options
        quiet_loading()
        return Reranker(self.model, **options)

    @property
    def reranker_options(self) -> dict[str, Any]:
        """The options of a reranker; raises InvalidInputError for values that are no layers."""
        return {
            "device": self.device,
            "dtype": self.dtype,
            "max_length": self.max_length,
            "long_documents": self.long_documents,
            "prompt": self.prompt,
            "layers": self.layer_options,
            "calibration": self.calibration,
        }

    @property
    def layer_options(self) -> LayerOptions:
        """The layer options; raises InvalidInputError for values that are no layers."""
        return LayerOptions(
            cutoff_layers=_numbers("--cutoff-layers", self.layers.get("cutoff_layers")),
            compress_ratio=self.layers.get("compress_ratio"),
            compress_layers=_numbers("--compress-layers", self.layers.get("compress_layers")),
        )


def _numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    """Return the layers of a list such as ``24,40``; None if the option was not given."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        msg = f"{option} must be layer numbers separated by commas, such as 24,40; got {text!r}"
        raise InvalidInputError(msg)
    return tuple(int(part) for part in parts)
