"""What gives teacher's scores, and what these depend on, as plain values for a journal."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rerank_plugins.backends.handles import ModelHandle
from rerank_plugins.calls.known_scores import known_scores
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker
from rerank_plugins.retrieval.parts import embedder_identity
from rerank_plugins.training.data.records import TrainingRecord
from rerank_plugins.training.row_source import PlacedRecord

__all__ = [
    "RerankerTeacher",
    "RowTeacher",
    "check_one_layer",
    "embedder_facts",
    "fingerprint_key",
    "opened_reranker",
    "teacher_facts",
]


@runtime_checkable
class RowTeacher(Protocol):
    """Gives a score to every text of a row."""

    @property
    def scale(self) -> str:
        """What a score is."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return what a score depends on, as plain values."""
        ...

    def problem(self, record: TrainingRecord) -> str | None:
        """Return why a row cannot be scored; None if it can."""
        ...

    def scores(self, block: Sequence[PlacedRecord]) -> Sequence[float | None]:
        """Return a score for each text of some rows, the positives of a row first; None where none came for now.

        Raises:
            ScoringError: One is NaN, or there are none.
        """
        ...


class RerankerTeacher:
    """Raw scores of a reranker.

    Args:
        reranker: Scores the pairs, at one layer.
    """

    def __init__(self, reranker: Reranker) -> None:
        check_one_layer(reranker)
        self._reranker = reranker

    @property
    def scale(self) -> str:
        """What a raw score is."""
        return self._reranker.spec.score_scale

    def facts(self) -> dict[str, Any]:
        """Return what a score depends on."""
        return teacher_facts(self._reranker)

    def problem(self, record: TrainingRecord) -> str | None:
        """Return None: a reranker needs no more than texts."""
        return None

    def scores(self, block: Sequence[PlacedRecord]) -> list[float | None]:
        """Return the raw score of each text; None where a chat model gave no answer that can be read."""
        pairs = [(one.record.query, text) for one in block for text in (*one.record.pos, *one.record.neg)]
        return known_scores(self._reranker, pairs)


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
    return fingerprint_key(resolve(model.model, kind=kind, options=model.source).files.fingerprint)


def fingerprint_key(fingerprint: Iterable[tuple[str, int, int]]) -> str:
    """Return a key of names, sizes and times of files."""
    return hashlib.sha256(json.dumps(list(fingerprint)).encode()).hexdigest()[:16]
