"""RAG-Retrieval's arguments and YAML keys (``rag_retrieval/train/{reranker,embedding,colbert}/train_*.py``)."""

from __future__ import annotations

from typing import Any

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.arguments.argument import Argument, Settings, Task, converted, ignored, refused, same

__all__ = ["RAG_RETRIEVAL"]

_R: tuple[Task, ...] = ("reranker",)
_E: tuple[Task, ...] = ("embedder",)
_V: tuple[Task, ...] = ("embedder", "colbert")

_FORMAT = "the format is detected from the rows; see rerank-plugins data formats"
_LABELS = (
    "labels are scaled there; give positives by data convert --positive-from, or scores with knowledge_distillation"
)
_DISTILL = "distilling vectors of a file is not offered: label texts with a teacher's scores instead"
_PLACE_TWO = "{}"


def _paths(value: Any) -> Settings:
    return {"train_data": tuple(value) if isinstance(value, (list, tuple)) else (value,)}


def _pair_length(value: Any) -> Settings:
    return {"query_max_len": value // 2, "passage_max_len": value - value // 2}


def _precision(value: Any) -> Settings:
    if value in (None, "no", "fp16", "bf16"):
        return {value: True} if value in ("fp16", "bf16") else {}
    msg = f"mixed_precision must be no, fp16 or bf16, got {value!r}"
    raise InvalidInputError(msg)


def _trackers(value: Any) -> Settings:
    return {"report_to": () if value is None else (value,)}


def _checkpoints(value: Any) -> Settings:
    """Return how many are kept; the best and the newest are two."""
    return {"save_total_limit": max(int(value), 2)}


def _negatives(value: Any) -> Settings:
    return {"train_group_size": int(value) + 1}


def _dimensions(value: Any) -> Settings:
    parts = value if isinstance(value, (list, tuple)) else str(value).split(",")
    return {"mrl_dims": tuple(int(part) for part in parts)}


def _mean_over_tokens(value: Any) -> Settings:
    return {"temperature": value, "similarity": "meanmaxsim"}


def _loss(value: Any) -> Settings:
    if value == "pointwise_mse":
        msg = "loss_type pointwise_mse (squared error behind a sigmoid) is not offered; use pointwise_bce"
        raise InvalidInputError(msg)
    return {"loss": value}


def _prefix(name: str) -> Any:
    """Return what turns a format such as ``query: {}`` into an instruction in front."""

    def turn(value: Any) -> Settings:
        start, place, end = str(value).partition(_PLACE_TWO)
        if not place or end or _PLACE_TWO in end:
            msg = f"a format must end with {{}}, which stands for the text; got {value!r}"
            raise InvalidInputError(msg)
        return {name: start} if start else {}

    return turn


RAG_RETRIEVAL: tuple[Argument, ...] = (
    same("model_name_or_path", "hub id or folder", default="hfl/chinese-roberta-wwm-ext"),
    ignored("model_type", "the checkpoint says what it is", tasks=_R),
    converted("train_dataset", "file of rows", ours="train_data", turn=_paths),
    converted("dataset", "file of rows", ours="train_data", turn=_paths, tasks=("colbert",)),
    ignored("train_dataset_type", _FORMAT, default="pointwise", tasks=_R),
    refused(
        "train_label_key",
        "put labels of another key into pos and neg: data convert --label-key",
        default="label",
        tasks=_R,
    ),
    same("val_dataset", "the dev set", ours="dev_data"),
    ignored("val_dataset_type", _FORMAT, default="pointwise", tasks=_R),
    refused(
        "val_label_key",
        "put labels of another key into pos and neg: data convert --label-key",
        default="label",
        tasks=_R,
    ),
    same("train_group_size", "texts of a group", default=8, tasks=_R),
    same(
        "shuffle_rate", "chance that a text is cut in three and shuffled", default=0.0, ours="shuffle_ratio", tasks=_R
    ),
    converted(
        "max_len", "tokens of a pair", default=512, ours="query_max_len,passage_max_len", turn=_pair_length, tasks=_R
    ),
    refused("max_label", _LABELS, default=1, tasks=_R),
    refused("min_label", _LABELS, default=0, tasks=_R),
    converted(
        "loss_type",
        "pointwise_bce, pairwise_ranknet or listwise_ce; pointwise_mse is refused",
        default="pointwise_bce",
        ours="loss",
        turn=_loss,
        tasks=_R,
    ),
    refused("num_labels", "a reranker has one label", default=1, tasks=_R),
    converted(
        "query_format",
        "text in front of each query",
        default="{}",
        ours="query_instruction_for_rerank",
        turn=_prefix("query_instruction_for_rerank"),
        tasks=_R,
    ),
    converted(
        "document_format",
        "text in front of each text",
        default="{}",
        ours="passage_instruction_for_rerank",
        turn=_prefix("passage_instruction_for_rerank"),
        tasks=_R,
    ),
    same("seq", "between query and text, for LLM rerankers", default="", ours="sep_token", tasks=_R),
    refused(
        "special_token", "LLM rerankers here end with the prompt that they were trained with", default="", tasks=_R
    ),
    same("epochs", "passes over the queries", default=2, ours="num_train_epochs"),
    same("lr", "peak of the schedule", default=5e-5, ours="learning_rate"),
    same("batch_size", "groups of a step (pairs, with pointwise rows)", default=8, ours="per_device_train_batch_size"),
    same("seed", "of sampling, order and dropout", default=666),
    same("warmup_proportion", "share of the steps in which the learning rate rises", default=0.1, ours="warmup_ratio"),
    refused(
        "stable_proportion", "there is no schedule with a flat middle: choose lr_scheduler_type", default=0.0, tasks=_R
    ),
    same("gradient_accumulation_steps", "batches whose gradients are added up", default=1),
    converted("mixed_precision", "no, fp16 or bf16", ours="fp16,bf16", turn=_precision),
    same("gradient_checkpointing", "activations are computed twice instead of kept", default=False, tasks=_E),
    same("log_interval", "steps between two log entries", default=10, ours="logging_steps"),
    converted("log_with", "the tracker", default="wandb", ours="report_to", turn=_trackers),
    ignored("save_on_epoch_end", "checkpoints are kept with each measurement, or every save_steps", default=0),
    converted(
        "num_max_checkpoints", "checkpoints that are kept", default=5, ours="save_total_limit", turn=_checkpoints
    ),
    same("output_dir", "folder of the result", default="./output"),
    refused("train_type", _DISTILL, default="train", tasks=_E),
    refused("train_dataset_vec", _DISTILL, tasks=_E),
    refused("teacher_emebedding_dim", _DISTILL, tasks=_E),
    converted("neg_nums", "negatives of a query", default=15, ours="train_group_size", turn=_negatives, tasks=_V),
    same("query_max_len", "tokens of a query", default=128, tasks=_V),
    same("passage_max_len", "tokens of a text", default=512, tasks=_V),
    same("temperature", "divides cosine scores", default=0.02, tasks=_E),
    converted(
        "temperature",
        "divides the mean over the query's tokens of MaxSim",
        default=0.02,
        ours="temperature,similarity",
        turn=_mean_over_tokens,
        tasks=("colbert",),
    ),
    same("all_gather", "negatives of all devices", default=False, ours="negatives_cross_device", tasks=_E),
    same("use_mrl", "Matryoshka", default=False, tasks=_E),
    converted(
        "mrl_dims",
        "its dimensions",
        default="128, 256, 512, 768, 1024, 1280, 1536, 1792",
        ours="mrl_dims",
        turn=_dimensions,
        tasks=_E,
    ),
    same("eval_steps", "steps between two measurements", tasks=_E),
    same("save_steps", "steps between two checkpoints", tasks=_E),
    ignored("shuffle", "rows are always taken in an order that the seed draws", default=False, tasks=_E),
    same("colbert_dim", "of the token vectors", default=768, tasks=("colbert",)),
)
"""In a YAML file they win over the command line there; here whoever calls decides."""
