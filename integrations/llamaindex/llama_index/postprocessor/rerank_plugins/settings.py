"""The options that every reranking postprocessor has, whatever its model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from llama_index.core.bridge.pydantic import Field, model_validator
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import EnumNameSerializer, MetadataMode
from llama_index.postprocessor.rerank_plugins.options import LocalModelOptions
from typing_extensions import Self, TypedDict

from rerank_plugins.adapting import OnDeadline
from rerank_plugins.calibration import Calibration
from rerank_plugins.described import OPTIONS
from rerank_plugins.fields import Count, Long, Name, Number, Switch, option
from rerank_plugins.ranking.order import check_threshold
from rerank_plugins.types import LayerOptions, ScoreUnit, TruncationRule

__all__ = ["RerankOptions", "RerankSettings"]


class RerankSettings(TypedDict, total=False):
    """Settings of a postprocessor that do not decide how its model is loaded; a class has those that fit its model."""

    top_n: int | None
    threshold: float | None
    threshold_unit: ScoreUnit
    score_unit: ScoreUnit
    metadata_mode: MetadataMode
    keep_retrieval_score: bool
    keep_details: bool
    deadline_s: float | None
    on_deadline: OnDeadline
    callback_manager: CallbackManager
    layers: LayerOptions | None
    cutoff_layers: int | Sequence[int] | None
    compress_ratio: int | None
    compress_layers: int | Sequence[int] | None
    head_by_layer: bool | None
    attention_softcap: bool | None


class RerankOptions(LocalModelOptions):
    """How a model is used, and what is returned."""

    model: Name = Field(frozen=True, description=OPTIONS["model"])
    query_max_length: Count | None = option("query_max_length", None)
    long_documents: Long = option("long_documents", "truncate")
    truncation: TruncationRule | None = option("truncation", None)
    calibration: Name | Calibration | None = option("calibration", None)
    top_n: Count | None = option("top_n", 5, frozen=False)
    threshold: Number | None = option("threshold", None, frozen=False)
    threshold_unit: ScoreUnit = option("threshold_unit", "probability", frozen=False)
    score_unit: ScoreUnit = option("score_unit", "raw", frozen=False)
    metadata_mode: Annotated[MetadataMode, EnumNameSerializer] = Field(
        default=MetadataMode.EMBED, description="Which metadata is part of the text that is scored."
    )
    keep_retrieval_score: Switch = Field(
        default=True, description="Keep the score that a node came with as metadata 'retrieval_score'."
    )
    keep_details: Switch = Field(
        default=True, description="Keep probability, rank, window and truncation as metadata 'rerank_*'."
    )
    deadline_s: Number | None = option("deadline_s", None, frozen=False, gt=0)
    on_deadline: OnDeadline = option("on_deadline", "retrieval_order", frozen=False)
    max_waiting_tokens: Count | None = option("max_waiting_tokens", None)
    max_wait_ms: Number = option("max_wait_ms", 0.0, ge=0)
    max_batch_tokens: Count | None = option("max_batch_tokens", None)

    @model_validator(mode="after")
    def _check_threshold(self) -> Self:
        check_threshold(self.threshold, unit=self.threshold_unit)
        return self
