"""XLM-R classifiers whose weights have flash-attention's names (jina-reranker-v2), without the checkpoint's own code.

The published code (``modeling_xlm_roberta.py``, after Dao-AILab/flash-attention ``flash_attn/models/bert.py``) computes
what transformers' XLM-R does: learned positions counted from the padding id, norm after each residual, exact GELU, and
RoBERTa's head on the first token. Only the names differ, and query, key and value are one matrix. vLLM maps them the
same way (``vllm/model_executor/models/roberta.py``, ``jina_to_vllm_mapper``).
"""

from __future__ import annotations

from typing import Any

import torch
import transformers

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.weights.weight_files import WeightFiles

__all__ = ["has_flash_names", "xlmr_from_flash_names"]

_ARCHITECTURE = "XLMRobertaForSequenceClassification"
_FUSED = "mixer.Wqkv"
_NAMES = (
    ("emb_ln.", "embeddings.LayerNorm."),
    ("encoder.layers.", "encoder.layer."),
    ("mixer.out_proj.", "attention.output.dense."),
    ("norm1.", "attention.output.LayerNorm."),
    ("mlp.fc1.", "intermediate.dense."),
    ("mlp.fc2.", "output.dense."),
    ("norm2.", "output.LayerNorm."),
)
_NOT_SETTINGS = ("architectures", "auto_map", "model_type", "transformers_version", "torch_dtype", "dtype")


def has_flash_names(files: CheckpointFiles) -> bool:
    """Return whether a checkpoint is an XLM-R classifier under these names."""
    is_candidate = files.architecture == _ARCHITECTURE and files.needs_remote_code
    if not is_candidate or not any(files.folder.glob("*.safetensors")):
        return False
    return f"roberta.encoder.layers.0.{_FUSED}.weight" in WeightFiles(files.folder)


def xlmr_from_flash_names(files: CheckpointFiles, *, dtype: torch.dtype) -> tuple[Any, list[str]]:
    """Return transformers' classifier with the checkpoint's weights, and the names of weights that are missing."""
    settings = {name: value for name, value in files.config.items() if name not in _NOT_SETTINGS}
    model: Any = transformers.XLMRobertaForSequenceClassification(transformers.XLMRobertaConfig(**settings))
    stored = WeightFiles(files.folder)
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in stored.read(stored.names, device=torch.device("cpu"), dtype=dtype).items():
        weights.update(_renamed(name, tensor))
    result = model.load_state_dict(weights, strict=False)
    return model.to(dtype), list(result.missing_keys)


def _renamed(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    for old, new in _NAMES:
        name = name.replace(old, new)
    if _FUSED not in name:
        return {name: tensor}
    parts = zip(("query", "key", "value"), tensor.chunk(3), strict=True)
    return {name.replace(_FUSED, f"attention.self.{part}"): piece for part, piece in parts}
