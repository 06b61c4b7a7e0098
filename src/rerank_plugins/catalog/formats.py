"""Folders that hold a model in a form that is not run here: quantised, converted, or an adapter without its base."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rerank_plugins.catalog.weight_headers import StoredTensor
from rerank_plugins.errors import UnsupportedModelError

__all__ = ["refuse_adapter", "refuse_other_formats", "refuse_quantised"]

_ADAPTER = "adapter_config.json"
_FORMATS = (
    ("GGUF", ("*.gguf",)),
    ("ONNX", ("*.onnx", "onnx/*.onnx")),
    ("OpenVINO", ("openvino*.xml", "openvino/*.xml")),
    ("TensorFlow", ("tf_model.h5", "*.h5", "saved_model.pb")),
    ("Flax", ("flax_model*.msgpack", "*.msgpack")),
    ("Core ML", ("*.mlpackage", "coreml/*")),
    ("TensorRT", ("*.engine",)),
)
_PARTS: Mapping[str, str] = {
    "qweight": "GPTQ or AWQ",
    "qzeros": "GPTQ or AWQ",
    "g_idx": "GPTQ or AWQ",
    "quant_state": "bitsandbytes",
    "absmax": "bitsandbytes",
    "quant_map": "bitsandbytes",
    "SCB": "bitsandbytes",
    "weight_packed": "compressed-tensors",
    "weight_scale": "compressed-tensors or FP8",
    "weight_scale_inv": "FP8",
    "W_q": "HQQ",
    "_data": "quanto",
    "_scale": "quanto",
    "codebooks": "AQLM",
    "_weight_qdata": "torchao",
    "_weight_scale": "torchao",
}
"""Parts of the names of tensors that only a quantised matrix has, and what writes them."""
_WHOLE_NUMBERS = ("U8", "I8", "I16", "U16", "I32", "U32", "I64", "U64")


def refuse_adapter(folder: Path) -> None:
    """Refuse a folder of peft: it holds changes to another model.

    With peft installed transformers would load that other model instead, wherever its name leads.

    Raises:
        UnsupportedModelError: There is an ``adapter_config.json``.
    """
    if not (folder / _ADAPTER).is_file():
        return
    has_model = (folder / "config.json").is_file() and any(folder.glob("model*.safetensors"))
    way = (
        f"If the adapter is merged into its weights already, remove {_ADAPTER}; if not, pass"
        if has_model
        else "It is no model by itself: pass"
    )
    msg = (
        f"{str(folder)!r} holds a PEFT adapter ({_ADAPTER}). {way} the model that it was trained on with the folder as "
        "peft_path, Reranker(base_model, peft_path=folder), or merge it once with peft's merge_and_unload() and "
        "save_pretrained()."
    )
    raise UnsupportedModelError(msg)


def refuse_other_formats(folder: Path) -> None:
    """Name the format of a folder that has no weights that are read here.

    Raises:
        UnsupportedModelError: There are files of a known other format.
    """
    found = [
        (name, path.name)
        for name, patterns in _FORMATS
        for pattern in patterns
        for path in sorted(folder.glob(pattern))
    ]
    if found:
        msg = (
            f"{str(folder)!r} has its weights as {found[0][0]} only ({found[0][1]}), which is not run here. Use the "
            "model's repository with model.safetensors (usually the original of which this one was made), or convert "
            "it with transformers' save_pretrained()."
        )
        raise UnsupportedModelError(msg)


def refuse_quantised(config: Mapping[str, Any], stored: Mapping[str, StoredTensor], *, folder: Path) -> None:
    """Refuse quantised weights: read as they are stored they would be noise.

    Args:
        config: ``config.json``.
        stored: Tensors of the safetensors files, without those of this project's own int8 format.
        folder: The checkpoint, for the error.

    Raises:
        UnsupportedModelError: The config or a tensor says that they are.
    """
    how = _method(config) or _method_of(stored)
    if how:
        msg = (
            f"{str(folder)!r} is quantised ({how}), and quantised weights are not run here. Use the checkpoint that it "
            "was made from (usually the same name without the method), with dtype='bfloat16' or 'float16' to halve "
            "its memory."
        )
        raise UnsupportedModelError(msg)


def _method(config: Mapping[str, Any]) -> str | None:
    for key in ("quantization_config", "compression_config", "quantization"):
        settings = config.get(key)
        if settings:
            named = settings.get("quant_method") if isinstance(settings, Mapping) else None
            return f"{key}: {str(named)[:50]}" if named else key
    return None


def _method_of(stored: Mapping[str, StoredTensor]) -> str | None:
    for name, one in stored.items():
        for part in name.replace(":", ".").split("."):
            if part in _PARTS:
                return f"{_PARTS[part]}: tensor {name[:100]!r}"
        if one.dtype.startswith(("F8", "F4", "F6_")):
            return f"tensor {name[:100]!r} of {one.dtype}"
        if name.endswith("weight") and one.dtype in _WHOLE_NUMBERS:
            return f"tensor {name[:100]!r} of {one.dtype}"
    return None
