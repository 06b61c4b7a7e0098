"""The options of every command that opens a reranker, written once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import LayerOptions

if TYPE_CHECKING:
    from rerank_plugins.reranker import Reranker

__all__ = ["CalibratedModelOptions", "Device", "Dtype", "MaxLength", "ModelName", "ModelOptions"]

ModelName = Annotated[
    str, typer.Option("--model", "-m", help="Hub id, local folder, mini, or a backend: cohere:NAME, tei:URL.")
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:all, mps; the best by default.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, float16, bfloat16, or int8 (CPUs with AVX-512 VNNI or AMX).")]
MaxLength = Annotated[int | None, typer.Option(help="Tokens of an input; the model's default.")]
_LongDocuments = Annotated[str, typer.Option("--long-documents", help="truncate, maxp, firstp, meanp, topkmean.")]
_Prompt = Annotated[str | None, typer.Option(help="Instruction of an LLM reranker; the model's own by default.")]
_CutoffLayers = Annotated[
    str | None, typer.Option(metavar="N", help="Layer of a layerwise LLM reranker, for example 28.")
]
_CompressRatio = Annotated[
    int | None, typer.Option(help="Tokens of a document that become one: 1, 2, 4 or 8 (lightweight LLM reranker).")
]
_CompressLayers = Annotated[
    str | None, typer.Option(metavar="N,N", help="Layers in front of which that happens, for example 24,40.")
]
_CalibrationFile = Annotated[
    Path | None, typer.Option(help="File of rerank-plugins calibrate; probabilities are then its own.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How a reranker reads pairs, and where it runs."""

    device: Device = None
    dtype: Dtype = "auto"
    max_length: MaxLength = None
    long_documents: _LongDocuments = "truncate"
    prompt: _Prompt = None
    cutoff_layers: _CutoffLayers = None
    compress_ratio: _CompressRatio = None
    compress_layers: _CompressLayers = None

    def open(self, model: str) -> Reranker:
        """Return the reranker.

        Raises:
            InvalidInputError: An option has a value that cannot work.
            ModelError: The model cannot be resolved or loaded.
        """
        from rerank_plugins import Reranker
        from rerank_plugins.cli.quiet import quiet_loading

        options = self.reranker_options
        quiet_loading()
        return Reranker(model, **options)

    @property
    def reranker_options(self) -> dict[str, Any]:
        """The options of a reranker; raises InvalidInputError for values that are no layers."""
        layers = self.written_layers
        others = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in layers}
        return others | {"layers": self.layer_options}

    @property
    def written_layers(self) -> dict[str, Any]:
        """The three layer options as they were written."""
        return {
            "cutoff_layers": self.cutoff_layers,
            "compress_ratio": self.compress_ratio,
            "compress_layers": self.compress_layers,
        }

    @property
    def layer_options(self) -> LayerOptions:
        """The layer options; raises InvalidInputError for values that are no layers."""
        return LayerOptions(
            cutoff_layers=_numbers("--cutoff-layers", self.cutoff_layers),
            compress_ratio=self.compress_ratio,
            compress_layers=_numbers("--compress-layers", self.compress_layers),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedModelOptions(ModelOptions):
    """How a reranker reads pairs, where it runs, and what its probabilities are."""

    calibration: _CalibrationFile = None


def _numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    """Return the layers of a list such as ``24,40``; None if the option was not given."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        msg = f"{option} must be layer numbers separated by commas, such as 24,40; got {text!r}"
        raise InvalidInputError(msg)
    return tuple(int(part) for part in parts)
