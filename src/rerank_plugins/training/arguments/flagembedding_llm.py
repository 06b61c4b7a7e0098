"""FlagEmbedding's arguments that only its modules for language models have.

Sources: ``FlagEmbedding/finetune/reranker/decoder_only/{base,layerwise}/arguments.py`` of 1.4.2, and
``research/llm_reranker``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.arguments.argument import Argument, Settings, Task, converted, same

__all__ = ["FINETUNE_TYPE", "LAYERS", "LORA", "MODEL_TYPE", "SEPARATOR"]

_R: tuple[Task, ...] = ("reranker",)
_REDUCTION = "layer_reduction"


def _of_layers(name: str) -> Any:
    """Return what sets something of the layerwise module, and its loss: a sum over the layers."""

    def turn(value: Any) -> Settings:
        return {} if value is None else {name: value, _REDUCTION: "sum"}

    return turn


def _head_type(value: Any) -> Settings:
    if value not in (None, "simple"):
        msg = f"head_type {value!r} keeps the whole output matrix in every head, and is not offered; use 'simple'"
        raise InvalidInputError(msg)
    return {} if value is None else {"head_type": value, _REDUCTION: "sum"}


def _model_type(value: Any) -> Settings:
    """Return what the layerwise module's two kinds mean; the others say what the checkpoint says itself."""
    return {_REDUCTION: "sum"} if value in ("from_raw_model", "from_finetuned_model") else {}


def _separator(value: Any) -> Settings:
    if value not in (None, "\n", "\\n"):
        msg = f"sep_token={value!r} cannot be had: pairs have the layout of inference, with a line feed between"
        raise InvalidInputError(msg)
    return {}


LORA: tuple[Argument, ...] = tuple(
    replace(one, is_everywhere=False)
    for one in (
        same("use_lora", "low-rank adapters instead of all weights; for LLMs", default=True),
        same("lora_rank", "rank of the LoRA layers", default=64),
        same("lora_alpha", "scale of the LoRA layers", default=16),
        same("lora_dropout", "dropout of the LoRA layers", default=0.1),
        same(
            "target_modules",
            "layers with LoRA",
            default=("v_proj", "q_proj", "k_proj", "gate_proj", "down_proj", "o_proj", "up_proj"),
        ),
        same("modules_to_save", "layers that are trained whole beside LoRA"),
        same("from_peft", "adapter that training goes on with"),
        same("raw_peft", "adapters that are merged before a new one is made"),
        same("save_merged_lora_model", "also save the model with its adapter merged", default=False),
    )
)

LAYERS: tuple[Argument, ...] = tuple(
    replace(one, is_everywhere=False)
    for one in (
        converted(
            "start_layer",
            "first layer with a head (layerwise)",
            default=8,
            ours=f"start_layer,{_REDUCTION}",
            turn=_of_layers("start_layer"),
            tasks=_R,
        ),
        converted(
            "head_multi",
            "a head for each layer (layerwise)",
            default=False,
            ours=f"head_multi,{_REDUCTION}",
            turn=_of_layers("head_multi"),
            tasks=_R,
        ),
        converted(
            "head_type",
            "kind of those heads (layerwise)",
            default="simple",
            ours=f"head_type,{_REDUCTION}",
            turn=_head_type,
            tasks=_R,
        ),
    )
)

MODEL_TYPE = converted(
    "model_type",
    "the checkpoint says what it is, and is trained with its own layout",
    default="encoder",
    ours=_REDUCTION,
    turn=_model_type,
)
FINETUNE_TYPE = replace(MODEL_TYPE, name="finetune_type", default="from_raw_model", tasks=_R, is_everywhere=False)
"""The older module's name for it."""

SEPARATOR = converted(
    "sep_token",
    "between query and passage, for LLM rerankers",
    default="\n",
    ours="sep_token",
    turn=_separator,
    tasks=_R,
)
