"""What a calibration is compared with: the settings of a reranker that change its scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from rerank_plugins.calibration import Calibration, ScoreSource
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.pair_tokenizer import PairSettings
from rerank_plugins.types import LayerOptions

__all__ = ["calibration_for", "check_scope", "score_source"]


def score_source(
    spec: ModelSpec, settings: PairSettings, layers: LayerOptions | None, *, peft_path: str | None = None
) -> ScoreSource:
    """Return what makes the scores of a reranker. A local folder is known by its own name, wherever it lies.

    Args:
        spec: The model.
        settings: How pairs are cut.
        layers: Complete layer options; None for a model without layers to choose.
        peft_path: The LoRA adapter merged into the weights; None for none.
    """
    layered, long = None if layers is None else asdict(layers), settings.long_documents
    values = {
        "prompt": spec.prompt,
        "peft_path": None if peft_path is None else _adapter_name(peft_path),
        # A round trip makes JSON's own types of it, so that it equals what a file gives back.
        "layers": json.loads(json.dumps(layered)),
        "max_length": settings.max_length_tokens,
        "query_max_length": settings.query_limit_tokens,
        "truncation": settings.truncation,
        # Lengths and cuts have names of their own above, in files of earlier versions too.
        "long_documents": {
            name: value for name, value in asdict(long).items() if name not in ("query_max_length", "truncation")
        },
    }
    name = Path(spec.id).name if Path(spec.id).is_absolute() else spec.id
    return ScoreSource(model=name, revision=spec.revision, settings=values)


def check_scope(spec: ModelSpec, used: Mapping[str, object]) -> None:
    """Raise InvalidInputError if the scores of a model are to be used beyond the call that made them, and cannot be.

    Args:
        spec: The model.
        used: What would use them, by name; None for what was not asked for.
    """
    name = next((name for name, value in used.items() if value is not None), None)
    if name is None or spec.score_scope == "model":
        return
    msg = (
        f"{name} cannot be used with {spec.id!r}: its score depends on the other documents of the query in the call, "
        "and means something else in the next. Use rank() with all documents of a query, one of the models "
        "behind it, or, for a chat model, method='pointwise', whose scores are probabilities"
    )
    raise InvalidInputError(msg)


def _adapter_name(path: str) -> str:
    """Return the name of a folder, wherever it lies, or a hub id."""
    folder = Path(path).expanduser()
    return folder.resolve().name if folder.is_dir() else path


def calibration_for(calibration: object, used: ScoreSource) -> Calibration | None:
    """Return the calibration to use, read from its file if need be; None for None.

    Args:
        calibration: A calibration, a path to its file, or None.
        used: What makes the scores that it will be applied to.

    Raises:
        InvalidInputError: It is none of these, its file cannot be read, or it was made for something else; see
            :meth:`~rerank_plugins.calibration.ScoreSource.check_against`.
    """
    if calibration is None:
        return None
    if isinstance(calibration, (str, Path)):
        calibration = Calibration.load(Path(calibration).expanduser())
    if not isinstance(calibration, Calibration):
        msg = f"calibration must be a Calibration, the path of its file, or None; got {type(calibration).__name__}"
        raise InvalidInputError(msg)
    calibration.source.check_against(used)
    return calibration
