"""The options of a reranking model, shared by the compressors and the cross-encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, StrictInt

from langchain_rerank_plugins.options import CoreBacked
from rerank_plugins import LayerOptions, LongDocuments, Reranker
from rerank_plugins.calibration import Calibration
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import LongDocumentStrategy, ScoreUnit, TruncationRule

__all__ = ["RerankerBacked", "check_reranker", "settings_of"]


class RerankerBacked(CoreBacked):
    """Options of a core :class:`rerank_plugins.Reranker`, which is opened when the object is made."""

    query_max_length: StrictInt | None = Field(default=None, frozen=True)
    """Tokens of a query kept at most; None takes the rule of the model's family."""

    long_documents: LongDocumentStrategy | LongDocuments = Field(default="truncate", frozen=True)
    """How a document longer than the model's input is scored: ``truncate``, ``maxp``, ``firstp``,
    ``meanp``, ``topkmean``, or a :class:`rerank_plugins.LongDocuments`."""

    truncation: TruncationRule | None = Field(default=None, frozen=True)
    """Rule for pairs that are too long: ``longest_first`` or ``only_second``; None takes the family's."""

    prompt: str | None = Field(default=None, frozen=True)
    """Instruction of an LLM reranker; None takes the model's own."""

    layers: LayerOptions | None = Field(default=None, frozen=True)
    """Layer and compression of a layerwise LLM reranker; None takes the model's defaults."""

    calibration: str | Path | Calibration | None = Field(default=None, frozen=True)
    """A :class:`rerank_plugins.calibration.Calibration` or its file, which then makes the probabilities; None
    takes the model's own scale."""

    score_unit: ScoreUnit = "raw"
    """What a reported score is: ``raw`` (a logit for most models) or ``probability`` (in [0, 1])."""

    @property
    def reranker(self) -> Reranker:
        """The core object; other adapters may use it too."""
        core: Reranker = self._core
        return core

    def _open(self) -> Reranker:
        return Reranker(**self._loading_options())


def settings_of(reranker: object) -> dict[str, Any]:
    """Return the options that ``reranker`` was made with and that a reranking adapter also has.

    Raises:
        InvalidInputError: It is not a core reranker.
    """
    core = check_reranker(reranker)
    return {
        "query_max_length": core.query_max_length,
        "long_documents": core.long_documents,
        "truncation": core.truncation,
        "prompt": core.spec.prompt or None,
        "layers": core.layers,
        "calibration": core.calibration,
    }


def check_reranker(reranker: object) -> Reranker:
    """Return ``reranker``, or raise InvalidInputError if it is not a core ``Reranker``."""
    if isinstance(reranker, Reranker):
        return reranker
    msg = (
        f"reranker must be a rerank_plugins.Reranker, got {type(reranker).__name__}. "
        "Wrap another library's loaded model with Reranker.from_loaded(...)."
    )
    raise InvalidInputError(msg)
