"""What a training of an embedder is asked to do: frozen groups of settings, named as FlagEmbedding's.

A default of None is worked out from the model or the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, ModelName, Within
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.arguments import Task
from rerank_plugins.training.row_kinds import PLAIN
from rerank_plugins.training.settings_common import (
    CommonDataSettings,
    CommonRunSettings,
    ModelSettings,
    NotNegative,
    Positive,
    text_before,
)
from rerank_plugins.training.settings_flat import flat_settings, settings_of
from rerank_plugins.training.settings_landmarks import LandmarkSettings
from rerank_plugins.training.settings_llm import LoraSettings

if TYPE_CHECKING:
    from rerank_plugins.training.data.records import TrainingRecord

__all__ = [
    "EmbedderModelSettings",
    "EmbedderRunSettings",
    "EmbedderTrainingSettings",
    "M3Settings",
    "RetrievalDataSettings",
    "RetrievalRunSettings",
    "VectorSettings",
    "check_negatives",
    "embedder_settings",
]

VectorPooling = Literal["cls", "mean", "last_token"]
Threshold = Annotated[int, Within(0)]


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderModelSettings(ModelSettings):
    """Where a training of an embedder starts.

    Attributes:
        model_name_or_path: Hub id or local folder of an encoder, or of a language model that embeds.
        fix_position_embedding: Whether the position embeddings stay as they are.
        additional_special_tokens: Tokens of instructions that the vocabulary must have, such as ``<instruct>``; none is
            added here.
    """

    model_name_or_path: ModelName = "BAAI/bge-m3"
    fix_position_embedding: bool = False
    additional_special_tokens: tuple[str, ...] = ()


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalDataSettings(CommonDataSettings):
    """What a training of an embedder or a ColBERT reads, and how a row becomes a group of texts.

    Attributes:
        train_group_size: Texts of a group: one positive and the rest negatives; 1 takes positives alone, whose
            negatives are the texts of the batch's other queries.
        query_max_len: Tokens of a query, its instruction and special tokens included; None takes what the model is used
            with: training then sees what inference sees.
        passage_max_len: The same for the texts.
        query_instruction_for_retrieval: Text in front of every query, saved as the model's own; a row's ``prompt``
            replaces it. None takes the model's own; an empty text is none, and then no ``prompt`` is read.
        passage_instruction_for_retrieval: The same for the texts.
        same_dataset_within_batch: Whether all rows of a batch come from one file, so that texts of another task are no
            negatives. What is left over of a file in an epoch is left out. The rows' ``type`` counts then, which all
            rows of a file share: ``only_1neg`` and ``symmetric_class`` make smaller groups, ``symmetric_sts`` and
            ``symmetric_clustering`` have the query's instruction before their texts too.
        small_threshold: Files with fewer rows are one file together, with ``same_dataset_within_batch``.
        drop_threshold: If these have fewer rows together they are left out.
    """

    train_group_size: Annotated[int, Within(1)] = 8
    query_max_len: Count | None = None
    passage_max_len: Count | None = None
    query_instruction_for_retrieval: str | None = None
    passage_instruction_for_retrieval: str | None = None
    same_dataset_within_batch: bool = False
    small_threshold: Threshold = 0
    drop_threshold: Threshold = 0

    @property
    def instructions(self) -> tuple[str | None, str | None]:
        """What stands in front of queries, and of texts; None for nothing."""
        return self.query_instruction_for_retrieval or None, self.passage_instruction_for_retrieval or None

    @property
    def prefixes(self) -> tuple[str, str]:
        """What stands in front of queries, and of texts, as one text each."""
        forms = (self.query_instruction_format, self.passage_instruction_format)
        return tuple(  # type: ignore[return-value]
            text_before(form, one) or "" for form, one in zip(forms, self.instructions, strict=True)
        )

    def own_instruction(self, record: TrainingRecord) -> str | None:
        """Return a row's own instruction for its query: ``prompt``, as FlagEmbedding's embedders have it."""
        return record.prompt if record.prompt is not None else record.query_prompt

    def kind_of(self, record: TrainingRecord) -> str:
        """Return a row's ``type``, where batches are of one file."""
        return (record.type if self.same_dataset_within_batch else None) or PLAIN

    def __post_init__(self) -> None:
        CommonDataSettings.__post_init__(self)
        for name in ("query_instruction_format", "passage_instruction_format"):
            if not getattr(self, name).endswith("{}"):
                msg = (
                    f"{name}={getattr(self, name)!r} puts something behind the text, and embedders here have their "
                    "instruction in front of it; let the format end with {}"
                )
                raise InvalidInputError(msg)
        if (self.small_threshold or self.drop_threshold) and not self.same_dataset_within_batch:
            msg = "small_threshold and drop_threshold are about files: set same_dataset_within_batch, or leave them out"
            raise InvalidInputError(msg)


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalRunSettings(CommonRunSettings):
    """How a training of an embedder or a ColBERT runs.

    Attributes:
        learning_rate: Peak of the schedule.
        use_inbatch_neg: Whether the texts of the batch's other queries are negatives too, but for the same text as
            a positive of the row, or of a row with the same query.
        contrastive_weight: Weight of the contrastive loss beside ``kl_div`` and ``margin_mse``; 0 learns from the
            teacher alone.
        sub_batch_size: Texts that are encoded at a time; activations are computed again for the gradient, so that a
            batch may be larger than memory. None encodes all at once. The gradient is the same.
        per_device_eval_batch_size: Texts of a batch when the dev set is measured.
    """

    learning_rate: Positive = 1e-5
    use_inbatch_neg: bool = True
    contrastive_weight: NotNegative = 1.0
    sub_batch_size: Count | None = None


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderRunSettings(RetrievalRunSettings):
    """How a training of an embedder runs, and where its result goes.

    Attributes:
        temperature: What scores are divided by.
        kd_loss_type: How a teacher's scores are learnt from, see :mod:`rerank_plugins.training.vectors.losses`.
        negatives_cross_device: Whether the texts of all devices are negatives.
    """

    temperature: Positive = 0.02
    kd_loss_type: Literal["kl_div", "m3_kd_loss"] = "kl_div"
    negatives_cross_device: bool = False

    def __post_init__(self) -> None:
        CommonRunSettings.__post_init__(self)
        if self.negatives_cross_device and not self.use_inbatch_neg:
            msg = "negatives_cross_device takes the texts of other queries, and use_inbatch_neg=False takes none"
            raise InvalidInputError(msg)


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class VectorSettings:
    """How vectors are made.

    Attributes:
        sentence_pooling_method: How token states become one vector; None takes the model's own way.
        normalize_embeddings: Whether vectors have length 1, so that scores are cosines.
        use_mrl: Whether beginnings of vectors are trained too (Matryoshka, Kusupati et al. 2022, arXiv 2205.13147): the
            loss is the mean over ``mrl_dims``.
        mrl_dims: Their lengths.
    """

    sentence_pooling_method: VectorPooling | None = None
    normalize_embeddings: bool = True
    use_mrl: bool = False
    mrl_dims: tuple[Count, ...] = ()

    def __post_init__(self) -> None:
        if self.use_mrl != bool(self.mrl_dims):
            msg = f"use_mrl={self.use_mrl} and mrl_dims={list(self.mrl_dims)}: give both, or neither"
            raise InvalidInputError(msg)


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class M3Settings:
    """The three kinds of vectors of bge-m3.

    Attributes:
        unified_finetuning: Whether lexical weights and token vectors are trained beside the dense vector.
        colbert_dim: Length of token vectors, where the model has no such head yet; -1 is the hidden size.
        fix_encoder: Whether only the two heads are trained.
        use_self_distill: Whether each kind learns from the sum of all.
        self_distill_start_step: The step after which they do; -1 for the first.
    """

    unified_finetuning: bool = False
    colbert_dim: Annotated[int, Within(-1)] = -1
    fix_encoder: bool = False
    use_self_distill: bool = False
    self_distill_start_step: Annotated[int, Within(-1)] = -1

    def __post_init__(self) -> None:
        if self.colbert_dim == 0:
            msg = "colbert_dim must be -1 for the hidden size, or 1 or more; got 0"
            raise InvalidInputError(msg)
        if (self.fix_encoder or self.use_self_distill) and not self.unified_finetuning:
            msg = "fix_encoder and use_self_distill are about the heads of bge-m3: set unified_finetuning"
            raise InvalidInputError(msg)


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderTrainingSettings:
    """The settings of :func:`~rerank_plugins.training.train_embedder`.

    Attributes:
        model: Where it starts.
        data: What it reads.
        run: How it runs, and where the result goes.
        vectors: How vectors are made.
        m3: Heads of bge-m3.
        lora: Whether adapters are trained instead of all weights; None trains them where the last token is pooled, as
            language models do. The whole model is saved in any case, and the adapter beside it, in ``adapter``.
        landmark: Landmarks instead of one vector for each text.
    """

    task: ClassVar[Task] = "embedder"

    model: EmbedderModelSettings
    data: RetrievalDataSettings
    run: EmbedderRunSettings
    vectors: VectorSettings = field(default_factory=VectorSettings)
    m3: M3Settings = field(default_factory=M3Settings)
    lora: LoraSettings = field(default_factory=LoraSettings)
    landmark: LandmarkSettings = field(default_factory=LandmarkSettings)

    def __post_init__(self) -> None:
        check_negatives(self.data, self.run)
        if self.m3.unified_finetuning and self.vectors.use_mrl:
            msg = "use_mrl and unified_finetuning cannot be had together (FlagEmbedding's m3 has no use_mrl either)"
            raise InvalidInputError(msg)

    def flat(self) -> dict[str, Any]:
        """Return all settings by name, as plain values for JSON and YAML."""
        return flat_settings(self)


def check_negatives(data: RetrievalDataSettings, run: RetrievalRunSettings) -> None:
    """Raise where a query would have no negatives, or a teacher's scores nothing to rank."""
    if data.train_group_size == 1 and not run.use_inbatch_neg:
        msg = "train_group_size=1 has no negatives of its own, and use_inbatch_neg=False takes no others: the loss is 0"
        raise InvalidInputError(msg)
    if data.train_group_size == 1 and data.knowledge_distillation:
        msg = "knowledge_distillation ranks the texts of a group, and train_group_size=1 has one"
        raise InvalidInputError(msg)
    if data.train_group_size == 1 and run.per_device_train_batch_size == 1:
        msg = "train_group_size=1 and per_device_train_batch_size=1 leave no negative: the loss is 0"
        raise InvalidInputError(msg)
    if run.group_by_length and data.same_dataset_within_batch:
        msg = "group_by_length and same_dataset_within_batch are two ways to make batches; choose one"
        raise InvalidInputError(msg)


def embedder_settings(flat: Mapping[str, Any]) -> EmbedderTrainingSettings:
    """Return the settings that a flat mapping names, see :func:`~rerank_plugins.training.reranker_settings`.

    Raises:
        UnknownOptionError: There is no such setting.
        InvalidInputError: A value cannot work, or one that has no default is missing.
    """
    return settings_of(EmbedderTrainingSettings, flat)
