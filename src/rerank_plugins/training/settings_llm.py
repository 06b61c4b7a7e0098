"""Settings of language models that are trained as rerankers: low-rank adapters, and heads on several layers.

Names and defaults are FlagEmbedding's (1.4.2, ``finetune/reranker/decoder_only/*/arguments.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Within
from rerank_plugins.errors import InvalidInputError

__all__ = ["LayerReduction", "LayerSettings", "LoraSettings"]

LayerReduction = Literal["mean", "sum"]
"""How the losses of several layers become one, see :mod:`rerank_plugins.training.layer_losses`."""


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """Low-rank adapters (LoRA, Hu et al. 2021, arXiv 2106.09685) that are trained instead of a model's own weights.

    Attributes:
        use_lora: Whether adapters are trained; None does so for language models, and trains all weights of
            cross-encoders.
        lora_rank: Rank of the adapters.
        lora_alpha: Their scale is ``lora_alpha / lora_rank``.
        lora_dropout: Dropout in front of them.
        target_modules: Layers that get one, by the last part of their names.
        modules_to_save: Modules that are trained whole beside them, and saved with them.
        from_peft: Folder or hub id of an adapter that is trained further; rank, scale and layers are its own.
        raw_peft: Adapters that are merged into the weights, in this order, before training begins.
        save_merged_lora_model: Whether the folder ``merged_model`` in the output folder gets the whole model, with its
            adapter merged.
        lora_base_dtype: Precision of the weights below the adapters. bfloat16 halves their memory; it is only for
            checkpoints that are stored so. Adapters are always float32.
    """

    use_lora: bool | None = None
    lora_rank: Count = 64
    lora_alpha: Annotated[float, Within(0.0, is_open=True)] = 16.0
    lora_dropout: Annotated[float, Within(0.0, 1.0)] = 0.1
    target_modules: tuple[str, ...] = ("v_proj", "q_proj", "k_proj", "gate_proj", "down_proj", "o_proj", "up_proj")
    modules_to_save: tuple[str, ...] = ()
    from_peft: str | Path | None = None
    raw_peft: tuple[str | Path, ...] = ()
    save_merged_lora_model: bool = False
    lora_base_dtype: Literal["float32", "bfloat16"] = "float32"

    def check_unused(self) -> None:
        """Raise InvalidInputError if something is said of an adapter where none is trained, and nobody said so."""
        names = [
            one.name
            for one in fields(self)
            if one.name not in ("use_lora", "raw_peft") and getattr(self, one.name) != one.default
        ]
        if self.use_lora is None and names:
            msg = (
                f"{' and '.join(names)} is about an adapter, and all weights of this model are trained unless use_lora "
                "is set: set it, or leave the rest out"
            )
            raise InvalidInputError(msg)

    def __post_init__(self) -> None:
        if self.use_lora is False:
            names = [
                name
                for name, is_set in (
                    ("from_peft", self.from_peft is not None),
                    ("save_merged_lora_model", self.save_merged_lora_model),
                    ("lora_base_dtype", self.lora_base_dtype != "float32"),
                )
                if is_set
            ]
            if names:
                msg = f"{' and '.join(names)} is about an adapter, and use_lora is False: leave one of them out"
                raise InvalidInputError(msg)
        elif self.raw_peft and not self.save_merged_lora_model:
            msg = (
                "with raw_peft a new adapter belongs to a model that stands in no folder: set save_merged_lora_model "
                "to get the whole model too, or use_lora=False"
            )
            raise InvalidInputError(msg)


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSettings:
    """Rerankers with a head on each of their upper layers (layerwise and lightweight ones).

    Attributes:
        start_layer: First layer that gets a head, where a language model has none yet (MiniCPM); None for a checkpoint
            with heads, which keeps its own.
        head_multi: Whether every layer then gets a head of its own; None counts as False, one head for all.
        head_type: ``simple``: a head is one row, which begins as the row of "Yes" in the output matrix.
        layer_reduction: Whether the loss is the mean over the layers or FlagEmbedding's sum, with which it and its
            gradient grow with the number of layers.
        compress_ratio: Document tokens that become one while a lightweight model is trained and measured: 1, 2, 4, 8.
        compress_layers: Layers in front of which that happens; without any the lowest one with a head.
    """

    start_layer: Count | None = None
    head_multi: bool | None = None
    head_type: Literal["simple"] = "simple"
    layer_reduction: LayerReduction = "mean"
    compress_ratio: Count = 1
    compress_layers: tuple[int, ...] = ()
