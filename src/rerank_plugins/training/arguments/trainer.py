"""Arguments of transformers' Trainer: those of release 5, and those that it dropped and users' commands still hold.

Source: ``transformers/training_args.py`` of 4.40.2 and 5.23.0.
"""

from __future__ import annotations

from typing import Any

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.arguments.argument import Argument, Settings, converted, ignored, refused, same

__all__ = ["DROPPED", "OTHERS", "TRAINER"]

_CPU = {"device": "cpu"}
_MEASURED = "the dev set is measured every eval_steps, if there is one"
_ACCELERATE = "how processes work together is configured for accelerate: start with accelerate launch"
_LOGS = "what is logged is in run.json and goes to report_to"
_NO_HUB = "nothing is uploaded: push the folder when you have read its card"
_RESUME = "resume finds the newest whole checkpoint itself"


def _device(value: Any) -> Settings:
    return _CPU if value else {}


def _max_steps(value: Any) -> Settings:
    return {"max_steps": value} if value is not None and value > 0 else {}


def _warmup(value: Any) -> Settings:
    """Return a share of the steps; release 5 takes a number below 1 as one."""
    if not value:
        return {}
    if value < 1:
        return {"warmup_ratio": value}
    msg = f"warmup_steps={value} is a number of steps; give the share of all steps, warmup_ratio"
    raise InvalidInputError(msg)


def _checkpoints(value: Any) -> Settings:
    """Return how many are kept; the best and the newest are two."""
    return {} if value is None else {"save_total_limit": max(int(value), 2)}


def _trackers(value: Any) -> Settings:
    names = [value] if isinstance(value, str) else list(value or ())
    return {"report_to": tuple(name for name in names if name != "none")}


def _resume(value: Any) -> Settings:
    return {"resume": bool(value)}


def _adafactor(value: Any) -> Settings:
    return {"optim": "adafactor"} if value else {}


def _sampling(value: Any) -> Settings:
    if value in ("random", "group_by_length"):
        return {"group_by_length": value == "group_by_length"}
    msg = f"train_sampling_strategy={value!r}: 'random' and 'group_by_length' are known; every epoch has an order anew"
    raise InvalidInputError(msg)


def _batch(value: Any) -> Settings:
    return {} if value is None else {"per_device_train_batch_size": value}


TRAINER: tuple[Argument, ...] = (
    same("output_dir", "folder of the result"),
    same("per_device_train_batch_size", "groups of a step, on each device", default=8),
    same("per_device_eval_batch_size", "pairs of a batch when the dev set is scored", default=8),
    same("num_train_epochs", "passes over the queries", default=3.0),
    converted("max_steps", "steps at which training ends; -1 for none", default=-1, ours="max_steps", turn=_max_steps),
    same("learning_rate", "peak of the schedule", default=5e-5),
    same("lr_scheduler_type", "how the learning rate falls", default="linear"),
    converted(
        "warmup_steps", "below 1 the share of the steps in which it rises", default=0, ours="warmup_ratio", turn=_warmup
    ),
    same("optim", "the optimizer", default="adamw_torch_fused"),
    same("weight_decay", "of AdamW, without biases and norms", default=0.0),
    same("max_grad_norm", "norm to which gradients are clipped", default=1.0),
    same("gradient_accumulation_steps", "batches whose gradients are added up before a step", default=1),
    same("bf16", "bfloat16 autocast", default=False),
    same("fp16", "float16 autocast, on CUDA; a warning on a CPU", default=False),
    same("gradient_checkpointing", "activations are computed twice instead of kept", default=False),
    same("logging_steps", "steps between two log entries", default=500),
    converted("report_to", "trackers such as tensorboard or wandb", default="none", ours="report_to", turn=_trackers),
    same("eval_steps", "steps between two measurements of the dev set"),
    same("save_steps", "steps between two checkpoints where there is no dev set", default=500),
    converted(
        "save_total_limit",
        "checkpoints that are kept, at least the best and the newest",
        ours="save_total_limit",
        turn=_checkpoints,
    ),
    same("seed", "of sampling, order and dropout", default=42),
    same("dataloader_drop_last", "whether the last, smaller batch of an epoch is left out", default=False),
    same("dataloader_num_workers", "processes that tokenise ahead", default=0),
    same("metric_for_best_model", "measure of the dev set that chooses the checkpoint", ours="metric"),
    converted("resume_from_checkpoint", _RESUME, ours="resume", turn=_resume),
    converted("use_cpu", "stay on the CPU", default=False, ours="device", turn=_device),
    converted(
        "train_sampling_strategy",
        "how rows are put into batches",
        default="random",
        ours="group_by_length",
        turn=_sampling,
    ),
    ignored("do_train", "training is what the command does", default=False),
    ignored("do_eval", _MEASURED, default=False),
    ignored("eval_strategy", _MEASURED, default="no"),
    ignored("logging_strategy", "logs are written every logging_steps", default="steps"),
    ignored("save_strategy", "checkpoints are kept with each measurement, or every save_steps", default="steps"),
    ignored("load_best_model_at_end", "the best checkpoint by the dev set is what is saved", default=False),
    ignored("greater_is_better", "measures are all greater when better"),
    ignored("gradient_checkpointing_kwargs", "the kind that works with every loss is used"),
    ignored("deepspeed", _ACCELERATE),
    ignored("fsdp", _ACCELERATE),
    ignored("fsdp_config", _ACCELERATE),
    ignored("local_rank", _ACCELERATE, default=-1),
    ignored("ddp_backend", _ACCELERATE),
    ignored("ddp_timeout", _ACCELERATE, default=1800),
    ignored("ddp_find_unused_parameters", _ACCELERATE),
    ignored("accelerator_config", _ACCELERATE),
    ignored("run_name", _LOGS),
    ignored("logging_first_step", _LOGS, default=False),
    ignored("log_level", "logging is Python's own: set its level there", default="passive"),
    ignored("disable_tqdm", "a bar is shown on a terminal only"),
    ignored("remove_unused_columns", "rows are read by their keys, and others are reported", default=True),
    ignored("dataloader_pin_memory", "it changes no number", default=True),
    ignored("dataloader_persistent_workers", "it changes no number", default=False),
    ignored("dataloader_prefetch_factor", "it changes no number"),
    ignored("push_to_hub", _NO_HUB, default=False),
    ignored("hub_model_id", _NO_HUB),
    ignored("hub_token", _NO_HUB),
    refused("label_smoothing_factor", "the losses here have no smoothing", default=0.0),
    refused("neftune_noise_alpha", "noise on embeddings is for chat models"),
    refused("torch_compile", "groups have other lengths in each step, and would be compiled anew", default=False),
    refused("auto_find_batch_size", "another batch is another run; choose with --dry-run", default=False),
)

DROPPED: tuple[Argument, ...] = (
    ignored("overwrite_output_dir", "an output folder that is used is never overwritten; name another", default=False),
    same("warmup_ratio", "share of the steps in which the learning rate rises", default=0.0),
    ignored("evaluation_strategy", _MEASURED, default="no"),
    ignored("logging_dir", _LOGS),
    ignored("save_safetensors", "weights are saved as safetensors in any case", default=True),
    converted("no_cuda", "stay on the CPU", default=False, ours="device", turn=_device),
    ignored("use_mps_device", "accelerate chooses the device", default=False),
    ignored("half_precision_backend", "autocast is torch's own", default="auto"),
    ignored("fp16_backend", "autocast is torch's own", default="auto"),
    ignored("fp16_opt_level", "it belonged to apex; autocast is torch's own", default="O1"),
    converted("adafactor", "the optimizer Adafactor", default=False, ours="optim", turn=_adafactor),
    same("group_by_length", "whether a step takes rows of about the same length", default=False),
    converted(
        "per_gpu_train_batch_size",
        "the old name of per_device_train_batch_size",
        ours="per_device_train_batch_size",
        turn=_batch,
    ),
    ignored("jit_mode_eval", "it changes no number", default=False),
    ignored("use_ipex", "it changes no number", default=False),
    refused("tpu_num_cores", "TPUs are not supported"),
    refused("past_index", "it belongs to models with a memory", default=-1),
    ignored("include_inputs_for_metrics", "measures are computed from the dev set itself", default=False),
)
"""The 18 names that transformers 4 knew and 5.23 does not: the examples of FlagEmbedding hold some of them."""

_OTHERS = """
lr_scheduler_kwargs optim_args adam_beta1 adam_beta2 adam_epsilon optim_target_modules
average_tokens_across_devices bf16_full_eval fp16_full_eval tf32 activation_checkpointing
activation_checkpointing_kwargs torch_compile_backend torch_compile_mode use_liger_kernel liger_kernel_config
use_cache torch_empty_cache_steps log_on_each_node logging_nan_inf_filter include_num_input_tokens_seen
log_level_replica project trackio_space_id trackio_bucket_id trackio_static_space_id eval_delay
prediction_loss_only eval_on_start eval_do_concat_batches eval_use_gather_object eval_accumulation_steps
include_for_metrics batch_eval_metrics save_only_model save_on_each_node enable_jit_checkpoint hub_private_repo
hub_strategy hub_always_push hub_revision ignore_data_skip restore_callback_states_from_checkpoint full_determinism
data_seed parallelism_config dataloader_multiprocessing_context dataloader_in_order label_names
length_column_name ddp_bucket_cap_mb ddp_broadcast_buffers ddp_static_graph debug
skip_memory_metrics do_predict torchdynamo ray_scope split_batches dispatch_batches mp_parameters
push_to_hub_model_id push_to_hub_organization push_to_hub_token per_gpu_eval_batch_size fsdp_min_num_params
fsdp_transformer_layer_cls_to_wrap use_legacy_prediction_loop tpu_metrics_debug include_tokens_per_second
"""
OTHERS = frozenset(_OTHERS.split())
"""Names that transformers' Trainer knows, and that have no counterpart here."""
