"""Settings that every training has: where it starts, what it reads, how it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, ModelName, Within
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.row_kinds import PLAIN
from rerank_plugins.types import SourceOptions

if TYPE_CHECKING:
    from rerank_plugins.training.data.records import TrainingRecord

__all__ = [
    "CommonDataSettings",
    "CommonRunSettings",
    "ModelSettings",
    "NotNegative",
    "Positive",
    "Share",
    "TeacherScale",
    "text_before",
]

TeacherScale = Literal["logit", "probability"]
"""What a teacher's scores are: any real numbers, or numbers from 0 to 1."""

Schedule = Literal["linear", "cosine", "constant", "constant_with_warmup", "polynomial"]
Optimizer = Literal["adamw_torch", "adamw_torch_fused", "adafactor", "sgd"]

Share = Annotated[float, Within(0.0, 1.0)]
Positive = Annotated[float, Within(0.0, is_open=True)]
NotNegative = Annotated[float, Within(0.0)]

_LARGEST_SEED = 2**32 - 1
_MARK = "\0"


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """Where a training starts.

    Attributes:
        model_name_or_path: Hub id, local folder or ``mini``: a cross-encoder with one label, or an LLM reranker.
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


def _is_format(form: str) -> bool:
    """Return whether an instruction and a text can be put into a format."""
    try:
        return form.format(_MARK, "").count(_MARK) == form.format("", _MARK).count(_MARK) == 1
    except (IndexError, KeyError, ValueError):
        return False


def text_before(form: str, instruction: str | None) -> str | None:
    """Return what a format puts in front of a text; None where it puts something behind it, too.

    Args:
        form: The format, see :class:`CommonDataSettings`.
        instruction: The instruction; None puts nothing there.
    """
    if instruction is None:
        return ""
    # A YAML file or a shell has no line feed in a format (FlagEmbedding does the same).
    form = form.replace("\\n", "\n")
    return form.format(instruction, "") if form.format("", _MARK).endswith(_MARK) else None


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class CommonDataSettings:
    """What every training reads, and how a row becomes a group of texts.

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
        keep_data: Sets that the model shall stay good at, as ``dev_data`` names one: they are measured before and after
            the training, and neither trained on nor used to choose a checkpoint.
        keep_queries: Queries of each of them that are measured at most, drawn by their texts.
        train_group_size: Texts of a group: one positive and the rest negatives.
        knowledge_distillation: Whether the teacher's scores are learnt from; every row must have them then.
        teacher_scale: Whether those are logits or probabilities.
        shuffle_ratio: Chance that a positive of more than 100 characters is cut into three parts, which change places.
        query_instruction_format: How an instruction and a query become one text; ``{}`` twice.
        passage_instruction_format: The same for the texts.
    """

    train_data: tuple[str | Path, ...]
    allow: tuple[str, ...] = ()
    dev_data: str | Path | None = None
    dev_fraction: Annotated[float, Within(0.0, 0.5)] = 0.1
    dev_top_k: Count = 20
    keep_data: tuple[str | Path, ...] = ()
    keep_queries: Count = 200
    train_group_size: Annotated[int, Within(2)] = 8
    knowledge_distillation: bool = False
    teacher_scale: TeacherScale = "logit"
    shuffle_ratio: Share = 0.0
    query_instruction_format: str = "{}{}"
    passage_instruction_format: str = "{}{}"

    @property
    def instructions(self) -> tuple[str | None, str | None]:
        """What stands in front of queries, and of texts; None for nothing."""
        return None, None

    def own_instruction(self, record: TrainingRecord) -> str | None:
        """Return a row's own instruction for its query; None if it has none."""
        return record.query_prompt

    def kind_of(self, record: TrainingRecord) -> str:
        """Return the kind of a row as far as it counts here (:mod:`~rerank_plugins.training.row_kinds`)."""
        return PLAIN

    def __post_init__(self) -> None:
        if not self.train_data:
            msg = "train_data names no file; give at least one"
            raise InvalidInputError(msg)
        for name in ("query_instruction_format", "passage_instruction_format"):
            form = getattr(self, name)
            if form.count("{}") != 2 or not _is_format(form):
                msg = (
                    f"{name} must hold {{}} twice, for the instruction and the text, and other braces doubled; got "
                    f"{form!r}"
                )
                raise InvalidInputError(msg)


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class CommonRunSettings:
    """How every training runs, and where its result goes.

    Attributes:
        output_dir: Folder of the trained model; it must not exist yet, or be empty. Checkpoints are kept beside it, in
            ``NAME.training``, until it is there.
        resume: Whether an interrupted training of this output folder goes on from its newest whole checkpoint.
        learning_rate: Peak of the schedule. None takes what suits the model.
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
        dropout: Chance that a number inside the model is left out in a step, wherever the model does that; None takes
            the model's own chances. 0 makes steps on a CPU much faster. ``lora_dropout`` is another.
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
    learning_rate: Positive | None = None
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
    dropout: Annotated[float, Within(0.0, 0.99)] | None = None
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
