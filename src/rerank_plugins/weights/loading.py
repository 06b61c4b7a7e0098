"""Loads checkpoints: safe weight formats, no missing weights, the same behaviour on transformers 4 and 5."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.errors import UnsafeModelError
from rerank_plugins.weights.base import LoadRequest
from rerank_plugins.weights.checks import check_weights, refuse_missing, uses_safetensors
from rerank_plugins.weights.flash_names import has_flash_names, xlmr_from_flash_names
from rerank_plugins.weights.lora import merge_lora, names_stored_as_in_out
from rerank_plugins.weights.own_rows import has_own_rows, read_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["load_model"]


def load_model(request: LoadRequest, auto_class: Any, *, attention: str | None = None) -> PreTrainedModel:
    """Return a transformers model in eval mode on the device.

    Args:
        request: What to load.
        auto_class: ``AutoModel`` or ``AutoModelForSequenceClassification``.
        attention: transformers' name of the attention to use; None leaves it to transformers.

    Raises:
        UnsafeModelError: Only pickled weights are there, or remote code is needed, and that was
            not allowed.
        UnsupportedModelError: Weights are missing, or transformers cannot build the model.
    """
    uses_flash_names = has_flash_names(request.files)
    if not uses_flash_names:
        _check_code(request)
    check_weights(request)
    folder = request.files.folder
    keyword = "dtype" if _major_version() >= 5 else "torch_dtype"
    options: dict[str, Any] = {keyword: request.dtype, "local_files_only": True}
    options["trust_remote_code"] = request.trust_remote_code
    if attention is not None:
        options["attn_implementation"] = attention
    with checkpoint_errors(f"load {str(folder)!r} with transformers {transformers.__version__}"):
        if uses_flash_names:
            model, missing = xlmr_from_flash_names(request.files, dtype=request.dtype)
        elif has_own_rows(folder):
            model, missing = _from_own_rows(folder, auto_class, request.dtype)
        else:
            model, info = auto_class.from_pretrained(
                folder, use_safetensors=uses_safetensors(folder), output_loading_info=True, **options
            )
            missing = info["missing_keys"]
    refuse_missing(missing, folder, reads_pooler=request.files.architecture.endswith("ForSequenceClassification"))
    if request.lora is not None:
        in_out = names_stored_as_in_out(model)
        merge_lora(dict(model.named_parameters()), request.lora, stored_as_in_out=in_out)
    return model.eval().to(request.device)  # type: ignore[no-any-return]


def _from_own_rows(folder: Path, auto_class: Any, dtype: torch.dtype) -> tuple[PreTrainedModel, list[str]]:
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model = auto_class.from_config(config)
    own, prefix = set(model.state_dict()), f"{model.base_model_prefix}."
    weights = {_name_in(own, name, prefix): value for name, value in read_rows(folder / "model.safetensors").items()}
    result = model.load_state_dict(weights, strict=False)
    return model.to(dtype), list(result.missing_keys)


def _name_in(own: set[str], name: str, prefix: str) -> str:
    """Return a weight's name in a model that may be the bare encoder of what was stored, or have one more head."""
    names = (name, name.removeprefix(prefix), prefix + name)
    return next((one for one in names if one in own), name)


def _check_code(request: LoadRequest) -> None:
    folder = request.files.folder
    model_type = str(request.files.config.get("model_type", ""))
    # jina-reranker-v1 calls its own architecture a "bert".
    architecture = request.files.architecture
    is_known = model_type in CONFIG_MAPPING and (not architecture or hasattr(transformers, architecture))
    if request.files.needs_remote_code and not request.trust_remote_code and not is_known:
        msg = (
            f"{str(folder)!r} is a {model_type!r} ({architecture or 'no architecture named'}), which transformers "
            f"{transformers.__version__} runs only with Python code from the checkpoint. Pass trust_remote_code=True "
            "if you trust its source, or choose another model."
        )
        raise UnsafeModelError(msg)


def _major_version() -> int:
    return int(transformers.__version__.split(".", 1)[0])
