"""What decides the scores of a reranker and the vectors of an embedder, as plain values for a journal."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rerank_plugins.backends.handles import ModelHandle
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker
from rerank_plugins.retrieval.parts import embedder_identity

__all__ = ["check_one_layer", "embedder_facts", "opened_reranker", "teacher_facts"]


def opened_reranker(reranker: Reranker | str | Path) -> tuple[Reranker, bool]:
    """Return a reranker, and whether it was opened here and must be closed."""
    return (reranker, False) if isinstance(reranker, Reranker) else (Reranker(reranker), True)


def teacher_facts(reranker: Reranker) -> dict[str, Any]:
    """Return what a raw score depends on: model, revision, files, precision, layer, prompt, lengths; and its scale."""
    return {
        **asdict(reranker.score_source),
        "score_scale": reranker.spec.score_scale,
        "peft_path": reranker.peft_path,
        "dtype": reranker.dtype,
        "files": _files_key(reranker, "reranker"),
    }


def embedder_facts(embedder: Embedder) -> dict[str, Any]:
    """Return what a vector depends on."""
    return {
        **embedder_identity(embedder),
        "query_instruction": embedder.instruction.query,
        "dtype": embedder.dtype,
        "files": _files_key(embedder, "embedder"),
    }


def check_one_layer(reranker: Reranker) -> None:
    """Raise InvalidInputError if a layerwise reranker gives the scores of several layers."""
    layers = None if reranker.layers is None else reranker.layers.cutoff_layers
    if layers is not None and len(layers) > 1:
        msg = f"a teacher gives one score a text, and {reranker.model} is to give those of layers {layers}; name one"
        raise InvalidInputError(msg)


def _files_key(model: ModelHandle, kind: ModelKind) -> str | None:
    """Return a key of names, sizes and times of a model's files; None where its revision tells, or it has none."""
    is_here = model.spec.package is not None or Path(model.model).is_dir()
    if not model.is_named or not is_here:
        return None
    fingerprint = resolve(model.model, kind=kind, options=model.source).files.fingerprint
    return hashlib.sha256(json.dumps(fingerprint).encode()).hexdigest()[:16]
