"""What a training is asked to do: three frozen groups of settings.

Names are FlagEmbedding's where they mean the same.

A default of None is worked out from the model or the data. The same names stand in a YAML file and on the command line;
there the groups do not matter (:func:`reranker_settings`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, ModelName, Within
from rerank_plugins.errors import InvalidInputError, UnknownOptionError
from rerank_plugins.training.names import unknown_setting
from rerank_plugins.types import SourceOptions

__all__ = [
    "DataSettings",
    "LossName",
    "ModelSettings",
    "RerankerTrainingSettings",
    "RunSettings",
    "TeacherScale",
    "reranker_settings",
]

LossName = Literal["group_ce", "kl_div", "stable_kl", "margin_mse", "pointwise_bce", "pairwise_ranknet", "listwise_ce"]
"""The losses of :mod:`rerank_plugins.training.losses`."""

TeacherScale = Literal["logit", "probability"]
"""What a teacher's scores are: any real numbers, or numbers from 0 to 1."""

Schedule = Literal["linear", "cosine", "constant", "constant_with_warmup", "polynomial"]
Optimizer = Literal["adamw_torch", "adamw_torch_fused", "adafactor", "sgd"]

Share = Annotated[float, Within(0.0, 1.0)]
Positive = Annotated[float, Within(0.0, is_open=True)]
NotNegative = Annotated[float, Within(0.0)]

_LARGEST_SEED = 2**32 - 1


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Where a training starts.

    Attributes:
        model_name_or_path: Hub id, local folder or ``mini``: a cross-encoder with one label.
        family: Conventions of a local folder that its name does not tell (``bge``, ``bce``); None takes what its files
            say.
        revision: Commit, tag or branch on the hub; None takes the pinned one.
        local_files_only: Whether the network is never touched.
        allow_pickle: Whether ``*.bin`` weights are accepted, whose loading can run code.
        trust_remote_code: Whether transformers may run code from the checkpoint.
        freeze_embeddings: Whether the embeddings stay as they are: half of a small model's weights, which a short
            training hardly moves.
        frozen_layers: Number of the lowest layers that stay as they are too.
    """

    model_name_or_path: ModelName = "mini"
    family: str | None = None
    revision: str | None = None
    local_files_only: bool = False
    allow_pickle: bool = False
    trust_remote_code: bool = False
    freeze_embeddings: bool = False
    frozen_layers: Annotated[int, Within(0)] = 0

    @property
    def source(self) -> SourceOptions:
        """The same as every model of this package is opened with."""
        return SourceOptions(
            family=self.family,
            revision=self.revision,
            local_files_only=self.local_files_only,
            allow_pickle=self.allow_pickle,
            trust_remote_code=self.trust_remote_code,
        )


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings:
    """What a training reads, and how a row becomes a group of pairs.

    Attributes:
        train_data: Files of JSON lines (``query``, ``pos``, ``neg``, with a teacher also ``pos_scores`` and
            ``neg_scores``), folders of them, or data in any other format that ``rerank-plugins data formats`` names.
        allow: Kinds of errors of ``rerank-plugins data check`` that do not stop the run; rows without a group are then
            left out.
        dev_data: What quality is measured on during training: a ``.jsonl`` file, a folder in BEIR layout, or anything
            else that ``rerank-plugins evaluate`` reads. None holds ``dev_fraction`` of the training queries out.
        dev_fraction: Share of the training queries that are held out where there is no ``dev_data``, 500 at most; 0
            measures nothing. A query is held out or not by its text, in every run.
        dev_top_k: Documents of a dev query that are reranked, where its dataset names no candidates: BM25's best.
        train_group_size: Texts of a group: one positive and the rest negatives.
        query_max_len: With ``passage_max_len`` the length of a pair in tokens, which is their sum; a query keeps
            ``query_max_len + passage_max_len // 4`` of it at most (FlagEmbedding). None, for both, takes what the model
            is used with: training then sees what inference sees.
        passage_max_len: See ``query_max_len``.
        knowledge_distillation: Whether the teacher's scores are learnt from; every row must have them then.
        teacher_scale: Whether those are logits or probabilities.
        shuffle_ratio: Chance that a positive of more than 100 characters is cut into three parts, which change places.
        query_instruction_for_rerank: Text in front of every query; a row's ``query_prompt`` replaces it. Without it
            that key is not read. At inference the text must be put in front by whoever asks.
        query_instruction_format: How the two become one text; ``{}`` twice.
        passage_instruction_for_rerank: The same for the texts (``passage_prompt``).
        passage_instruction_format: The same.
    """

    train_data: tuple[str | Path, ...]
    allow: tuple[str, ...] = ()
    dev_data: str | Path | None = None
    dev_fraction: Annotated[float, Within(0.0, 0.5)] = 0.1
    dev_top_k: Count = 20
    train_group_size: Annotated[int, Within(2)] = 8
    query_max_len: Count | None = None
    passage_max_len: Count | None = None
    knowledge_distillation: bool = False
    teacher_scale: TeacherScale = "logit"
    shuffle_ratio: Share = 0.0
    query_instruction_for_rerank: str | None = None
    query_instruction_format: str = "{}{}"
    passage_instruction_for_rerank: str | None = None
    passage_instruction_format: str = "{}{}"

    def __post_init__(self) -> None:
        if not self.train_data:
            msg = "train_data names no file; give at least one"
            raise InvalidInputError(msg)
        if (self.query_max_len is None) != (self.passage_max_len is None):
            msg = (
                f"query_max_len={self.query_max_len} and passage_max_len={self.passage_max_len}: the length of a pair "
                "is their sum, so give both, or neither for the model's own"
            )
            raise InvalidInputError(msg)
        for name in ("query_instruction_format", "passage_instruction_format"):
            if getattr(self, name).count("{}") != 2:
                msg = f"{name} must hold {{}} twice, for the instruction and the text; got {getattr(self, name)!r}"
                raise InvalidInputError(msg)


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How a training runs, and where its result goes.

    Attributes:
        output_dir: Folder of the trained model; it must not exist yet, or be empty. Checkpoints are kept beside it, in
            ``NAME.training``, until it is there.
        resume: Whether an interrupted training of this output folder goes on from its newest whole checkpoint.
        loss: The loss, see :mod:`rerank_plugins.training.losses`.
        temperature: What student's and teacher's scores are divided by in ``kl_div`` and in the distilling part of
            ``group_ce``; in ``stable_kl`` the teacher's alone.
        learning_rate: Peak of the schedule.
        num_train_epochs: Passes over the queries; each takes one positive of a query.
        max_steps: Steps at which training ends instead; None for none.
        per_device_train_batch_size: Groups of a step, on each device.
        gradient_accumulation_steps: Batches whose gradients are added up before a step.
        per_device_eval_batch_size: Pairs of a batch when the dev set is scored.
        warmup_ratio: Share of the steps in which the learning rate rises.
        lr_scheduler_type: How it falls then.
        weight_decay: Of AdamW; biases and norms are left out.
        max_grad_norm: Norm to which gradients are clipped; 0 for none.
        optim: The optimizer, in transformers' words.
        seed: Of sampling, of the order of queries, of dropout.
        fp16: Whether to use float16 autocast, on CUDA. Weights stay float32.
        bf16: Whether to use bfloat16 autocast.
        gradient_checkpointing: Whether to compute activations twice instead of keeping them.
        device: ``cpu`` to stay there; None takes what accelerate chooses.
        metric: Measure of the dev set by which the best checkpoint is chosen: ``nDCG@10``, ``MRR@10``, ``hit@5``.
        eval_steps: Steps between two measurements, of which each is also a checkpoint; None takes a tenth of all.
        early_stopping_patience: Measurements without a new best after which training ends; None never ends early.
        save_steps: Steps between two checkpoints where there is no dev set; None takes a tenth of all.
        save_total_limit: Checkpoints kept, of which one is the best.
        logging_steps: Steps between two log entries.
        group_by_length: Whether a step takes rows of about the same length, so that less is padded. Steps come
            in random order still.
        dataloader_num_workers: Processes that tokenise ahead; the draws are the same with any number.
        dataloader_drop_last: Whether the last, smaller batch of an epoch is left out.
        report_to: Trackers of transformers' Trainer (``tensorboard``, ``wandb``).
        progress: Whether to show a bar.
    """

    output_dir: str | Path
    resume: bool = False
    loss: LossName = "group_ce"
    temperature: Positive = 1.0
    learning_rate: Positive = 5e-5
    num_train_epochs: Positive = 3.0
    max_steps: Count | None = None
    per_device_train_batch_size: Count = 8
    gradient_accumulation_steps: Count = 1
    per_device_eval_batch_size: Count = 32
    warmup_ratio: Share = 0.1
    lr_scheduler_type: Schedule = "linear"
    weight_decay: NotNegative = 0.01
    max_grad_norm: NotNegative = 1.0
    optim: Optimizer = "adamw_torch"
    seed: Annotated[int, Within(0, _LARGEST_SEED)] = 42
    fp16: bool = False
    bf16: bool = False
    gradient_checkpointing: bool = False
    device: Literal["cpu"] | None = None
    metric: str = "nDCG@10"
    eval_steps: Count | None = None
    early_stopping_patience: Count | None = 5
    save_steps: Count | None = None
    save_total_limit: Annotated[int, Within(2)] = 2
    logging_steps: Count = 10
    group_by_length: bool = False
    dataloader_num_workers: Annotated[int, Within(0)] = 0
    dataloader_drop_last: bool = False
    report_to: tuple[str, ...] = ()
    progress: bool = False

    def __post_init__(self) -> None:
        if self.fp16 and self.bf16:
            msg = "fp16 and bf16 are two precisions of the same computation; choose one"
            raise InvalidInputError(msg)


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class RerankerTrainingSettings:
    """The settings of :func:`~rerank_plugins.training.train_reranker`.

    Attributes:
        model: Where it starts.
        data: What it reads.
        run: How it runs, and where the result goes.
    """

    model: ModelSettings
    data: DataSettings
    run: RunSettings

    def __post_init__(self) -> None:
        needs_teacher = self.run.loss in ("kl_div", "stable_kl", "margin_mse")
        if needs_teacher and not self.data.knowledge_distillation:
            msg = (
                f"loss={self.run.loss!r} learns from a teacher's scores: set knowledge_distillation and give every row "
                "pos_scores and neg_scores"
            )
            raise InvalidInputError(msg)

    def flat(self) -> dict[str, Any]:
        """Return all settings by name, as plain values for JSON and YAML."""
        groups = (self.model, self.data, self.run)
        return {one.name: _plain(getattr(group, one.name)) for group in groups for one in fields(group)}


GROUPS: Mapping[str, type] = {"model": ModelSettings, "data": DataSettings, "run": RunSettings}
"""The groups of :class:`RerankerTrainingSettings` by its own names for them."""


def reranker_settings(flat: Mapping[str, Any]) -> RerankerTrainingSettings:
    """Return the settings that a flat mapping names, as a YAML file or a command line has them.

    Args:
        flat: Name to value. What is None counts as not given; dashes in a name count as underscores.

    Raises:
        UnknownOptionError: There is no such setting; the message says what does the same here, or names its neighbour.
        InvalidInputError: A value cannot work, or one that has no default is missing.
    """
    given = {name.replace("-", "_"): value for name, value in flat.items() if value is not None}
    homes = {one.name: (group, one) for group, owner in GROUPS.items() for one in fields(owner)}
    for name in given:
        if name not in homes:
            raise UnknownOptionError(unknown_setting(name, homes))
    groups: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
    for name, value in given.items():
        several = str(homes[name][1].type).startswith("tuple[") and isinstance(value, (str, Path))
        groups[homes[name][0]][name] = (value,) if several else value
    for name in ("train_data", "output_dir"):
        if name not in given:
            msg = f"{name} is missing; a training needs train_data and output_dir"
            raise InvalidInputError(msg)
    return RerankerTrainingSettings(**{group: owner(**groups[group]) for group, owner in GROUPS.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value
