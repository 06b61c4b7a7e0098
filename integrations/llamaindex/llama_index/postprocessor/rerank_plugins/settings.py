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
from rerank_plugins.ranking.order import check_threshold
from rerank_plugins.types import LayerOptions, LongDocuments, LongDocumentStrategy, ScoreUnit, TruncationRule

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

    model: str = Field(frozen=True, description="A hub id, a local folder, or mini.")
    query_max_length: int | None = Field(
        default=None,
        ge=1,
        strict=True,
        frozen=True,
        description="Tokens of a query kept at most; None takes the rule of the model's family.",
    )
    long_documents: LongDocumentStrategy | LongDocuments = Field(
        default="truncate",
        frozen=True,
        description="How a text longer than the input is scored: truncate, maxp, firstp, meanp, topkmean.",
    )
    truncation: TruncationRule | None = Field(
        default=None, frozen=True, description="Rule for pairs that are too long; None takes the family's own."
    )
    calibration: str | Calibration | None = Field(
        default=None,
        frozen=True,
        description="A calibration or its file, which then makes the probabilities; None takes the model's own scale.",
    )
    top_n: int | None = Field(default=5, ge=1, strict=True, description="Nodes returned at most; None returns all.")
    threshold: float | None = Field(
        default=None, strict=True, description="Nodes that score below it are left out; None keeps all."
    )
    threshold_unit: ScoreUnit = Field(
        default="probability", description="What threshold is compared with: probability or raw."
    )
    score_unit: ScoreUnit = Field(
        default="raw", description="What a result's score is: the model's raw score, or a probability."
    )
    metadata_mode: Annotated[MetadataMode, EnumNameSerializer] = Field(
        default=MetadataMode.EMBED, description="Which metadata is part of the text that is scored."
    )
    keep_retrieval_score: bool = Field(
        default=True, description="Keep the score that a node came with as metadata 'retrieval_score'."
    )
    keep_details: bool = Field(
        default=True, description="Keep probability, rank, window and truncation as metadata 'rerank_*'."
    )

    deadline_s: float | None = Field(
        default=None,
        gt=0,
        strict=True,
        allow_inf_nan=False,
        description=(
            "Seconds after which a call gives up waiting for scores; None waits for ever, or as long as a reranker "
            "that was passed in allows."
        ),
    )
    on_deadline: OnDeadline = Field(
        default="retrieval_order",
        description=(
            "What a call gives that is not in time, or that finds too much waiting: the first top_n nodes in "
            "retrieval order, marked with metadata 'rerank_fallback', or raise, the core's error."
        ),
    )
    max_waiting_tokens: int | None = Field(
        default=None,
        ge=1,
        strict=True,
        frozen=True,
        description="A call that finds so many tokens waiting is not queued, see on_deadline; None queues every call.",
    )
    max_wait_ms: float = Field(
        default=0.0,
        ge=0,
        strict=True,
        allow_inf_nan=False,
        frozen=True,
        description="How long a call waits for others to share its batch while the model is free.",
    )
    max_batch_tokens: int | None = Field(
        default=None,
        ge=1,
        strict=True,
        frozen=True,
        description="Token slots of a batch; None takes the device's default.",
    )

    @model_validator(mode="after")
    def _check_threshold(self) -> Self:
        check_threshold(self.threshold, unit=self.threshold_unit)
        return self
