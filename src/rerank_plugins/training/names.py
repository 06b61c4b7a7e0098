"""What other trainers call things: what a misspelt or foreign setting is answered with.

The names are those of FlagEmbedding's and RAG-Retrieval's rerankers and of transformers' TrainingArguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType

__all__ = ["TRAINED_TODAY", "unknown_setting"]

TRAINED_TODAY = (
    "cross-encoders with one label are trained today (bge-reranker-*, bce-reranker, any ...ForSequenceClassification, "
    "mini); decoder rerankers with LoRA, layerwise and lightweight ones, embedders and ColBERT are not yet"
)
"""What there is, for every message that refuses something else."""

_LORA = f"LoRA belongs to decoder rerankers: {TRAINED_TODAY}"
_EMBEDDER = f"it belongs to embedders: {TRAINED_TODAY}"
_LENGTH = "the length of a pair is query_max_len + passage_max_len, or the model's own"
_LAYERS = f"it belongs to layerwise rerankers: {TRAINED_TODAY}"
_OVERWRITE = "an output folder that is used is never overwritten; name another"
_DATA = "train_data has one format, which says which texts are positive"
_SAVED = "weights are saved as safetensors in any case"
_DEEPSPEED = "it is configured for accelerate: start with accelerate launch"
_LABEL = "a row's pos counts 1 and its neg 0; with knowledge_distillation the teacher's scores count"
_RESUME = "the setting is resume, which finds the newest whole checkpoint itself"

_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "accumulation_steps": "the setting is gradient_accumulation_steps",
        "batch_size": "the setting is per_device_train_batch_size, in groups",
        "config_name": "config and tokenizer are the checkpoint's own",
        "dataset": "the setting is train_data",
        "deepspeed": _DEEPSPEED,
        "do_train": "training is what the command does",
        "epochs": "the setting is num_train_epochs",
        "evaluation_strategy": "the dev set is measured every eval_steps",
        "eval_strategy": "the dev set is measured every eval_steps",
        "fix_position_embedding": _EMBEDDER,
        "fsdp": _DEEPSPEED,
        "group_by_length": "not yet: groups of a batch are padded to its longest pair",
        "head_multi": _LAYERS,
        "head_type": _LAYERS,
        "kd_loss_type": _EMBEDDER,
        "load_best_model_at_end": "the best checkpoint by the dev set is what is saved, wherever there is one",
        "log_interval": "the setting is logging_steps",
        "lora_alpha": _LORA,
        "lora_rank": _LORA,
        "loss_type": "the setting is loss",
        "lr": "the setting is learning_rate",
        "max_label": _LABEL,
        "max_len": _LENGTH,
        "max_length": _LENGTH,
        "metric_for_best_model": "the setting is metric",
        "min_label": _LABEL,
        "mixed_precision": "the settings are fp16 and bf16",
        "model": "the setting is model_name_or_path",
        "model_name": "the setting is model_name_or_path",
        "model_type": "the checkpoint says what it is; family= names conventions for a folder",
        "negatives_cross_device": _EMBEDDER,
        "neg_nums": "the setting is train_group_size: one positive and the rest negatives",
        "no_cuda": "the setting is device='cpu'",
        "normalize_embeddings": _EMBEDDER,
        "num_labels": "a reranker has one label",
        "num_max_checkpoints": "the setting is save_total_limit",
        "output": "the setting is output_dir",
        "overwrite_output_dir": _OVERWRITE,
        "resume_from_checkpoint": _RESUME,
        "same_dataset_within_batch": _EMBEDDER,
        "save_safetensors": _SAVED,
        "sentence_pooling_method": _EMBEDDER,
        "shuffle_rate": "the setting is shuffle_ratio",
        "start_layer": _LAYERS,
        "sub_batch_size": _EMBEDDER,
        "target_modules": _LORA,
        "train_dataset": "the setting is train_data",
        "train_dataset_type": _DATA,
        "train_label_key": _LABEL,
        "use_cpu": "the setting is device='cpu'",
        "use_lora": _LORA,
        "use_mrl": _EMBEDDER,
        "val_dataset": "the setting is dev_data",
        "warmup_proportion": "the setting is warmup_ratio",
        "warmup_steps": "the setting is warmup_ratio",
    }
)


def unknown_setting(name: str, known: Iterable[str]) -> str:
    """Return the message for a setting that there is none of: what does the same here, or the nearest name.

    Args:
        name: What was given.
        known: The settings that there are.
    """
    options = list(known)
    if name in _ELSEWHERE:
        return f"a reranker's training has no setting {name!r}: {_ELSEWHERE[name]}"
    close = get_close_matches(name.replace("-", "_"), options, n=1, cutoff=0.7)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(options)}"
    return f"a reranker's training has no setting {name!r}: {hint}"
